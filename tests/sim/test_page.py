"""The page of the simulator names a test for each fault, and each of them exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType
from unittest import TestCase as AnyCase

from twisted.trial.unittest import SynchronousTestCase

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "simulator.rst"
ROW = re.compile(r"^   \* - (F\d+)\n     - (.+)\n     - ((?:``\S+``\n(?:       )?)+)", re.MULTILINE)
FAULTS = 30


class PageTests(SynchronousTestCase):
    def test_every_fault_has_a_test(self) -> None:
        found = {fault: names for fault, _, names in ROW.findall(PAGE.read_text("utf-8"))}
        self.assertEqual(list(found), [f"F{number}" for number in range(1, FAULTS + 1)])
        for fault, names in found.items():
            for name in re.findall(r"``(\S+)``", names):
                self.assertTrue(_is_test(f"tests.{name}"), f"{fault}: {name}")


def _is_test(name: str) -> bool:
    """Whether ``name`` is a test case, or a module with some."""
    try:
        found: object = importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        found = getattr(importlib.import_module(module), attribute, None)
    members = vars(found).values() if isinstance(found, ModuleType) else (found,)
    return any(isinstance(item, type) and issubclass(item, AnyCase) for item in members)
