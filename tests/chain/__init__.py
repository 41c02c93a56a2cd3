"""Tests of timecoin.chain."""
