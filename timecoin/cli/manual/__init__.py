"""Manual pages, written from what ``--help`` is written from."""
