"""Tests of timecoin.cli.manual."""
