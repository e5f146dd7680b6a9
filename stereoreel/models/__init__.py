"""The catalogue: which models there are, where their weights are, and what this machine can run."""
