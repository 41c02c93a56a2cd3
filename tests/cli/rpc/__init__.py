"""Tests of timecoin.cli.rpc."""
