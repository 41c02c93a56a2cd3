"""Small models of the hardest rules of `docs/protocol.rst`, searched exhaustively."""
