"""Accepted history: one writer, one set of rules for production, gossip and sync (PROTOCOL 6)."""
