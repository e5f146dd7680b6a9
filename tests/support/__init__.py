"""What tests and benchmarks share: media files, rendered scenes, random networks, servers; not in the wheel."""
