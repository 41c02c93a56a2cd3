"""Agreeing on a transaction in under a second: polls, certificates, receipts (PROTOCOL 5)."""
