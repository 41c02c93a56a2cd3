"""Tests of timecoin.evidence."""
