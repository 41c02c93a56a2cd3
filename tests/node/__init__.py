"""Tests of timecoin.node."""
