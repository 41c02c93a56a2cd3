"""Tests of timecoin.mempool."""
