"""Tests of timecoin.cli.output."""
