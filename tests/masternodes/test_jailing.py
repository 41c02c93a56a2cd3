"""Whom evidence may still jail."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.quorum.members import KEYS, active_set
from timecoin.masternodes.active_set import ActiveSet, Departed
from timecoin.masternodes.jailing import is_punishable, last_jailing


def departed(*rows: tuple[int, bytes, int, int]) -> ActiveSet:
    """Members 0 and 1, and rows of (index, stake, left, jailed)."""
    found = tuple(
        Departed(KEYS[index].public, stake, left, jailed, jailed)
        for index, stake, left, jailed in rows
    )
    return msgspec.structs.replace(active_set({0: 100, 1: 100}), departed=found)


class JailingTests(SynchronousTestCase):
    def test_members_and_who_has_just_left(self) -> None:
        parent = departed((2, b"s", 9, 0))
        self.assertTrue(is_punishable(parent, KEYS[0].public, 5))
        self.assertTrue(is_punishable(parent, KEYS[2].public, 5))
        self.assertFalse(is_punishable(parent, KEYS[3].public, 5))

    def test_only_offences_after_the_last_jailing(self) -> None:
        parent = departed((0, b"s", 9, 9), (0, b"t", 20, 20), (2, b"u", 20, 20))
        self.assertEqual(last_jailing(parent, KEYS[0].public), 20)
        self.assertEqual(last_jailing(parent, KEYS[1].public), 0)
        for index in (0, 2):
            self.assertFalse(is_punishable(parent, KEYS[index].public, 20))
            self.assertTrue(is_punishable(parent, KEYS[index].public, 21))
