"""A small network that guesses nearness from one picture, trained on scenes that are rendered here."""
