"""Shared by tests and benchmarks: media files, scenes, random networks, servers; not in the wheel."""
