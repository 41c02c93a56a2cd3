"""Agreement on one block a height: sortition, then prepare and precommit (PROTOCOL 6)."""
