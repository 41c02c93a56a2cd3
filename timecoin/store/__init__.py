"""Bytes at rest: one key-value seam, RocksDB or memory behind it, and the ports on top."""
