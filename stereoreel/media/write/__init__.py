"""Writing: encoders, sound, sizes, and the file that is complete under its name."""
