"""What is true: transactions, scripts, unspent outputs, blocks, rewards and their rules (PROTOCOL 3, 6)."""
