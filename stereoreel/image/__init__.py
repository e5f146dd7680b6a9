"""Frames as tensors: resizing, optical flow, tiles, edges, cuts, and how the CPU's cores share the work."""
