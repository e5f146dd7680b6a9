"""Network definitions only: torch and nothing of ours; parameter names equal to the published checkpoints."""
