"""Tests of timecoin.rpc."""
