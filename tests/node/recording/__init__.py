"""Tests of timecoin.node.recording."""
