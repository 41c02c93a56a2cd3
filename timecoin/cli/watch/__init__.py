"""Live blocks and finality, told by a node."""
