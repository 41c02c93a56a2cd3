"""Tests of the active set."""
