"""The terminal: a command a file."""
