"""Tests of timecoin.crypto."""
