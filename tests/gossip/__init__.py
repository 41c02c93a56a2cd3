"""Tests of timecoin.gossip."""
