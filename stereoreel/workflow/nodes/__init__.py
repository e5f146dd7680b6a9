"""One module a node: its declaration, and how its clips are built."""
