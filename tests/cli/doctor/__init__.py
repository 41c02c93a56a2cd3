"""Tests of timecoin.cli.doctor."""
