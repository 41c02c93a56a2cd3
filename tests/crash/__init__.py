"""Nodes on RocksDB, ended by kill -9 at every point at which they write, and by power cuts."""
