"""What the relay says about itself to machines and operators: numbers with bounded labels, and lines without secrets."""
