"""Tests of timecoin.p2p."""
