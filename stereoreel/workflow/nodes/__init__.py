"""One module per node: its declaration, and how its clips are built."""
