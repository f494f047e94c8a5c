"""YAML and environment become frozen values, refused whole or taken whole; secrets come from files or the environment only."""
