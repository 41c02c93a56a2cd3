"""What an operator reads: which lines are written, in what form, and where they go."""
