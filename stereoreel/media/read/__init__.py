"""Reading: what a file holds, its packets, frames, sound, clock and cuts."""
