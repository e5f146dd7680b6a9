"""Inspect clips: comfort, comparison, preview."""
