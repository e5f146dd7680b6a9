"""Looking at clips: comfort, comparison, preview."""
