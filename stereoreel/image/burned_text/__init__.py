"""Find text that lies over the picture, frame by frame, and what it covers."""
