"""How bytes travel between nodes: TLS links, framing, reconnecting (PROTOCOL 7).

Knows the meaning of no message but those of its own session (kinds 0 to 15).
"""
