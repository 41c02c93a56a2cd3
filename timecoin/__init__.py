"""A masternode of the TIME Coin network."""

__version__ = "0.1.0"
