"""How two views share a frame, and the boxes by which files say so."""
