"""Reads a vector file that stands beside this module."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def load_vectors(name: str) -> Any:
    """The parsed JSON of ``tests/vectors/NAME.json``."""
    return json.loads((Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8"))
