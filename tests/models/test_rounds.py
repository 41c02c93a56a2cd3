from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.models.explore import Outcome, explore, stuck_states
from tests.models.rounds import RULES, Rounds
from tests.support.long import unless_long


def agreement(rounds: int, *omitted: str) -> Outcome:
    model = Rounds(rounds, omitted=frozenset(omitted))
    return explore(model.initial(), model.steps, model.violation)


def liveness(*omitted: str) -> Outcome:
    """One member refuses block a for subjective reasons; the others may come to lock on it."""
    model = Rounds(2, refusals=("a", "", ""), noisy=1, omitted=frozenset(omitted))
    return stuck_states(model.initial(), model.steps, model.is_asked, model.is_decided)


class AgreementTest(TestCase):
    """No two blocks of one height are decided."""

    def test_two_rounds(self) -> None:
        self.assertIsNone(agreement(2).violation)

    def test_without_locks(self) -> None:
        outcome = agreement(2, "lock")
        self.assertEqual(outcome.violation, "two blocks are decided", outcome)


class LivenessTest(TestCase):
    """Once the Byzantine member is silent, a way to a decision is left."""

    def test_subjective_rules_do_not_bind_a_repeated_block(self) -> None:
        self.assertIsNone(liveness().violation)

    def test_without_it_a_locked_block_is_refused_for_ever(self) -> None:
        outcome = liveness("objective repeat")
        self.assertEqual(outcome.violation, "no way on to a decision", outcome)


class LongAgreementTest(TestCase):
    """Each rule that two rounds do not need, left out over as many as it takes."""

    skip = unless_long("models of three rounds")
    timeout = 3_600

    def test_three_rounds(self) -> None:
        outcome = agreement(3)
        print(outcome)
        self.assertIsNone(outcome.violation)

    def test_every_omission_is_found(self) -> None:
        rounds = {"lock": 2, "one prepare": 2, "valid round": 3, "lock in hand": 3}
        self.assertEqual({*rounds, "objective repeat"}, set(RULES))
        for rule, count in rounds.items():
            outcome = agreement(count, rule)
            print(f"without: {RULES[rule]}\n{outcome}")
            self.assertEqual(outcome.violation, "two blocks are decided", rule)
