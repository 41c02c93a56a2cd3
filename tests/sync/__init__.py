"""Tests of timecoin.sync."""
