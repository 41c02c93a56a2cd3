"""Who is active: the validator set that every weight is read from (PROTOCOL 4)."""
