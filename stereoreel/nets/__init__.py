"""Network definitions only: torch, einops, and parameter names equal to the published checkpoints.

They import no other room.
"""
