"""What a certificate is and who may sign it: one quorum function for the whole node (PROTOCOL 4-6)."""
