"""The median of the clocks: who is outvoted, and when an offset is too much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from timecoin.masternodes.clock import is_sound, median_offset_ms
from timecoin.masternodes.presence import Presence

HONEST = st.integers(min_value=-100, max_value=100)
ANY = st.integers(min_value=-(2**63), max_value=2**63)


class MedianTests(SynchronousTestCase):
    def test_figures(self) -> None:
        for offsets, expected in (
            ((), 0),
            ((50_000,), 0),
            ((20_000, 20_010), 20_000),
            ((20_000, 20_010, 19_990), 19_990),
            ((-20_000, 20_000), 0),
            ((5, 90_000, 7, 90_000), 7),
        ):
            self.assertEqual(median_offset_ms(offsets), expected, offsets)

    @given(st.lists(HONEST, min_size=1, max_size=9), st.data())
    def test_less_than_half_of_the_peers_cannot_move_it(
        self, honest: list[int], data: st.DataObject
    ) -> None:
        liars = data.draw(st.lists(ANY, max_size=len(honest) - 1))
        self.assertLessEqual(abs(median_offset_ms([*honest, *liars])), 100)

    def test_ten_seconds_are_still_right(self) -> None:
        self.assertTrue(is_sound(10_000) and is_sound(-10_000))
        self.assertFalse(is_sound(10_001) or is_sound(-10_001))


class PresenceTests(SynchronousTestCase):
    def test_only_after_a_whole_time_without_a_break(self) -> None:
        presence = Presence(ttl_ms=12_000, pause_ms=3_000)
        for now_ms in range(0, 12_000, 1_000):
            presence.observe(True, now_ms)
            self.assertFalse(presence.may_judge(now_ms))
        presence.observe(True, 12_000)
        self.assertTrue(presence.may_judge(12_000))
        presence.observe(False, 12_500)
        presence.observe(True, 12_600)
        self.assertFalse(presence.may_judge(12_600))

    def test_a_pause_or_a_clock_that_jumps_is_a_break(self) -> None:
        for jump in (3_001, -1):
            presence = Presence(ttl_ms=12_000, pause_ms=3_000)
            for now_ms in range(0, 20_000, 1_000):
                presence.observe(True, now_ms)
            presence.observe(True, 19_000 + jump)
            self.assertFalse(presence.may_judge(19_000 + jump), jump)

    def test_an_old_observation_counts_for_nothing(self) -> None:
        presence = Presence(ttl_ms=12_000, pause_ms=3_000)
        for now_ms in range(0, 20_000, 1_000):
            presence.observe(True, now_ms)
        self.assertTrue(presence.may_judge(22_000))
        self.assertFalse(presence.may_judge(22_001))
