"""Tests of timecoin.client."""
