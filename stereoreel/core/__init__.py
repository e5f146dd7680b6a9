"""What flows, a clip of chunks, and how it is pulled; imports no model and no media."""
