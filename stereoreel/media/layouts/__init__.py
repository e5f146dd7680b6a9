"""Layouts of two views in one frame, and the boxes by which files declare them."""
