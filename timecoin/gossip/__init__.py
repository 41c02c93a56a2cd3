"""Passing verified messages on to all who lack them, without knowing what they say (PROTOCOL 7)."""
