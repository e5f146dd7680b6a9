"""Subtitles as pictures: read lines, typeset them, and draw them into one or both views."""
