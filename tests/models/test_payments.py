from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.models.explore import Outcome, explore
from tests.models.payments import (
    PROMISES,
    RULES,
    Payments,
)
from tests.support.long import unless_long

FOUR = (frozenset({0, 1, 2}),)
"""Three honest members and the Byzantine one, in every snapshot."""
CHANGING = (frozenset({0, 1, 2}), frozenset({1, 2, 3}))
"""Member 0 leaves and member 3 joins with block 1."""


def fixed(*omitted: str, heights: int = 1, rounds: int = 1, both: bool = False) -> Payments:
    """Four members that stay; x alone is voted for unless ``both``, for it stands for either."""
    model = Payments(FOUR, 3, heights, rounds, omitted=frozenset(omitted), symmetric=((0, 1, 2),))
    return model if both else model.only_x()


def changing(*omitted: str, heights: int = 2) -> Payments:
    """One member leaves and another joins."""
    model = Payments(CHANGING, 4, heights, 1, omitted=frozenset(omitted), symmetric=((1, 2),))
    return model.only_x()


def search(model: Payments, *promises: str) -> Outcome:
    """Look for a broken promise: one of ``promises``, or any."""
    return explore(
        model.initial(), model.steps, lambda state: model.violation(state, promises or PROMISES)
    )


class FinalityTest(TestCase):
    """One height, one round, four members with one Byzantine."""

    def test_all_promises_hold(self) -> None:
        self.assertIsNone(search(fixed()).violation)

    def test_resolving_against_a_stored_certificate(self) -> None:
        outcome = search(fixed("held certificate"))
        self.assertEqual(outcome.violation, PROMISES["held lost"], outcome)

    def test_receipts_against_ones_own_resolution(self) -> None:
        outcome = search(fixed("ban"))
        self.assertEqual(outcome.violation, PROMISES["final lost"], outcome)

    def test_receipts_against_ones_own_resolution_after_a_crash(self) -> None:
        outcome = search(fixed("durable ban"))
        self.assertEqual(outcome.violation, PROMISES["final lost"], outcome)


class LongFinalityTest(TestCase):
    """Both spends voted for, several rounds, two heights, a changing set; every omission."""

    skip = unless_long("models with a million states")
    timeout = 7_200

    def assert_holds(self, model: Payments, *promises: str) -> None:
        outcome = search(model, *promises)
        print(outcome)
        self.assertIsNone(outcome.violation, outcome)

    def assert_found(self, promise: str, model: Payments) -> None:
        outcome = search(model, promise)
        print(f"without: {'; '.join(RULES[rule] for rule in sorted(model.omitted))}\n{outcome}")
        self.assertEqual(outcome.violation, PROMISES[promise], outcome)

    def test_both_spends(self) -> None:
        self.assert_holds(fixed(both=True))

    def test_two_rounds(self) -> None:
        self.assert_holds(fixed(rounds=2))

    def test_two_heights(self) -> None:
        self.assert_holds(fixed(heights=2))

    def test_one_leaves_and_another_joins(self) -> None:
        self.assert_holds(changing())

    def test_two_votes(self) -> None:
        for rule in ("one vote", "durable votes"):
            self.assert_found("held lost", fixed(rule, both=True))

    def test_receipts_are_a_second_line(self) -> None:
        """Even where both certificates exist, no two are final; that is what the rule is for."""
        self.assert_holds(fixed("one vote", both=True), "two final")
        self.assert_found("two final", fixed("one vote", "one receipt", both=True))

    def test_own_receipts_are_a_second_line_against_resolutions(self) -> None:
        """Who receipted prepares nothing against it, whatever else it overlooks."""
        self.assert_holds(fixed("held certificate"), "final lost")
        self.assert_found("final lost", fixed("held certificate", "receipted"))

    def test_leaving_out(self) -> None:
        self.assert_found("late", fixed("inclusion", heights=2))

    def test_votes_of_the_newest_set_alone(self) -> None:
        self.assert_found("held lost", changing("block snapshots"))

    def test_every_rule_is_left_out_here(self) -> None:
        source = set(RULES)
        tried = {
            "one vote",
            "durable votes",
            "one receipt",
            "held certificate",
            "receipted",
            "ban",
            "durable ban",
            "inclusion",
            "block snapshots",
        }
        self.assertEqual(source, tried)
