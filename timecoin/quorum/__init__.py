"""What a certificate is and who may sign it: one quorum rule for all (PROTOCOL 4-6)."""
