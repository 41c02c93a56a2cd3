"""Tests of quorums and certificates."""
