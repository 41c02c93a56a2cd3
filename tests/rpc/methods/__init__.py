"""Tests of timecoin.rpc.methods: real nodes on a virtual clock, asked through the real server."""
