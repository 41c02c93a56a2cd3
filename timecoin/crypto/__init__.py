"""Cryptographic primitives (PROTOCOL 2): hashes, signatures, VRF, Merkle trees, addresses.

Deterministic functions of their arguments: entropy always comes from the caller.
"""
