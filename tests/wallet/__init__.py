"""Tests of the wallet."""
