"""The relay's decisions, as values and functions: nothing here waits, reads a clock, rolls dice, logs or touches the world."""
