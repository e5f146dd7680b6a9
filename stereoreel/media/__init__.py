"""Media files in and out, with PyAV: what a file holds, its frames, its sound, and the files that are written."""
