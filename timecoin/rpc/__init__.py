"""JSON-RPC 2.0 over HTTP: the window through which clients read and pay (docs/rpc.rst)."""
