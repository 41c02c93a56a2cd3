"""What is wrong with a node and its machine, and what to do about it."""
