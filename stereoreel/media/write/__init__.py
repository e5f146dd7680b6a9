"""Writing: encoders, audio, target sizes, and files that are complete under their name."""
