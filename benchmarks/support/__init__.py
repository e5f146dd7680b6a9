"""Scenes with exact truth, random networks of the published sizes, a ComfyUI server; tests use them too."""
