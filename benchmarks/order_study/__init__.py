"""An experiment on the order of stages: every order over rendered scenes whose frames, depth and eyes are
known, and what that says.
"""
