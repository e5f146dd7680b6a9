"""Network definitions only: torch, einops and nothing of ours; parameter names equal to the published
checkpoints.
"""
