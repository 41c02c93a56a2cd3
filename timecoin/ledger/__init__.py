"""What is true: transactions, unspent outputs, blocks, rewards and their rules (PROTOCOL 3, 6)."""
