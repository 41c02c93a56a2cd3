"""Tests of timecoin.store."""
