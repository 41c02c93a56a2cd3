"""Tests of timecoin.cli."""
