"""Tests of timecoin.consensus."""
