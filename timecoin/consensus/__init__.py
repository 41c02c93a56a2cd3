"""Agreement on one checkpoint block a height: sortition, then prepare and precommit (PROTOCOL 6)."""
