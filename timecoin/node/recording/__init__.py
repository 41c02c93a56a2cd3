"""Everything that crosses the ports of one node, in a file that replays it (docs/adr/0012)."""
