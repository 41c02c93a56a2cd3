"""Tests of timecoin.finality."""
