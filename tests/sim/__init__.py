"""Tests of timecoin.sim."""
