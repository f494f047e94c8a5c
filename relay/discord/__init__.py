"""All that knows Discord: Cards become payloads within every limit, and answers become Outcomes."""
