"""Tests of timecoin.cli.watch."""
