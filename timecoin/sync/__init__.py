"""Catching up: following the certified history that peers show (PROTOCOL 8)."""
