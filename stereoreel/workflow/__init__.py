"""Workflows: the nodes' declarations, ComfyUI's JSON as a graph of clips, and orders of stages."""
