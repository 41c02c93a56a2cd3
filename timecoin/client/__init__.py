"""Callers of a node's JSON-RPC interface, for programs and for the command line."""
