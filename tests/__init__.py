"""Tests of timecoin; the folders mirror the package."""
