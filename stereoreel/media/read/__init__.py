"""Read media files: facts, packets, frames, audio, clock and cuts."""
