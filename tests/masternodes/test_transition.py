"""From snapshot to snapshot: churn, Free members, expiry, jail; never empty, always the same."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.masternodes.test_active_set import member as plain_member
from tests.masternodes.test_active_set import set_of
from tests.support.ledger_kit import key
from timecoin import params
from timecoin.codec import decode, encode
from timecoin.ledger.rules import RuleBroken
from timecoin.masternodes.active_set import (
    TIER_WEIGHT,
    ActiveSet,
    Departed,
    Member,
    Tier,
)
from timecoin.masternodes.transition import Terms, Transition

replace = msgspec.structs.replace

HEIGHT = 50
TERMS = Terms(jail_blocks=60, evidence_blocks=100)
WAIT = params.STAKE_WAIT_BLOCKS


def stake_of(number: int, which: int = 0) -> bytes:
    return bytes([which, number]) * 18


def member(number: int, weight: int = 10, tier: Tier = Tier.BRONZE, joined: int = 5) -> Member:
    """A member with a stake, or none when it is Free or of the genesis."""
    stake = b"" if tier in (Tier.FREE, Tier.GENESIS) else stake_of(number)
    return replace(plain_member(number, weight, tier), stake=stake, joined_height=joined)


def free(number: int, joined: int = 5) -> Member:
    return member(number, 1, Tier.FREE, joined)


def founder(number: int, weight: int = 100, expiry: int = 1_000) -> Member:
    return replace(member(number, weight, Tier.GENESIS, 0), expiry_height=expiry)


def pubkey(number: int) -> bytes:
    return key(number).public


def numbers(active: ActiveSet) -> set[int]:
    by_pubkey = {pubkey(number): number for number in range(200)}
    return {by_pubkey[item.pubkey] for item in active.members}


def row(number: int, left: int = 45, jailed: int = 0, until: int = 0) -> Departed:
    return Departed(pubkey(number), stake_of(number), left, jailed, until)


TWENTY = set_of(*(member(number) for number in range(20)))
FORTY = set_of(*(member(number) for number in range(40)))


class Base(SynchronousTestCase):
    def refused(self, step: Callable[[], None], rule: str, detail: str = "") -> None:
        error = self.assertRaises(RuleBroken, step)
        self.assertEqual(error.rule, rule, str(error))
        self.assertIn(detail, error.detail)

    def begin(self, parent: ActiveSet, height: int = HEIGHT) -> Transition:
        return Transition(parent, height, TERMS)


class ChurnTests(Base):
    def test_nothing_happens_by_itself(self) -> None:
        self.assertIs(self.begin(TWENTY).finish(), TWENTY)

    def test_a_twentieth_of_the_weight(self) -> None:
        change = self.begin(FORTY)
        change.exit(pubkey(1))
        change.join(member(50), HEIGHT - 1)
        self.refused(lambda: change.exit(pubkey(2)), "avs-churn")
        self.refused(lambda: change.join(member(51), HEIGHT - 1), "avs-churn")
        self.assertEqual(numbers(change.finish()), numbers(FORTY) - {1} | {50})

    def test_a_refused_step_changes_nothing(self) -> None:
        change, same = self.begin(FORTY), self.begin(FORTY)
        for step in (change, same):
            step.exit(pubkey(1))
            step.exit(pubkey(2))
        self.refused(lambda: change.exit(pubkey(3)), "avs-churn")
        self.refused(lambda: change.join(member(50), HEIGHT - 1), "avs-churn")
        self.assertEqual(change.finish(), same.finish())

    def test_or_else_a_single_member_of_any_weight(self) -> None:
        gold = member(60, 1_000, Tier.GOLD)
        for first, second in ((gold, member(61)), (member(61), gold)):
            change = self.begin(TWENTY)
            change.join(first, HEIGHT - 1)
            self.refused(lambda c=change, m=second: c.join(m, HEIGHT - 1), "avs-churn")  # type: ignore[misc]
            self.assertEqual(len(change.finish().members), 21)

    def test_joining_and_leaving_weight_add_up(self) -> None:
        change = self.begin(set_of(*(member(number) for number in range(30))))
        change.exit(pubkey(1))
        self.refused(lambda: change.join(member(50), HEIGHT - 1), "avs-churn")

    def test_free_members_have_a_bound_of_their_own(self) -> None:
        parent = set_of(*FORTY.members, *(free(100 + number) for number in range(20)))
        change = self.begin(parent)
        change.exit(pubkey(1))
        change.exit(pubkey(2))
        change.exit(pubkey(100))
        self.refused(lambda: change.exit(pubkey(101)), "avs-churn")
        self.refused(lambda: change.join(free(150), HEIGHT - 1), "avs-churn")

    def test_the_set_is_never_empty(self) -> None:
        parent = set_of(member(1), free(2))
        self.refused(lambda: self.begin(parent).exit(pubkey(1)), "empty-avs")
        self.refused(lambda: self.begin(parent).jail(pubkey(1), 40), "empty-avs")
        self.begin(parent).exit(pubkey(2))

    def test_exit_of_no_member(self) -> None:
        self.refused(lambda: self.begin(TWENTY).exit(pubkey(50)), "bad-avs-change")


class JoinTests(Base):
    def test_members_are_sorted(self) -> None:
        change = self.begin(TWENTY)
        change.join(member(50), HEIGHT - 1)
        found = change.finish().members
        self.assertEqual(found, tuple(sorted(found, key=lambda item: item.pubkey)))
        self.assertEqual(len(found), 21)

    def test_who_is_a_member_cannot_join_again(self) -> None:
        again = replace(member(1), joined_height=HEIGHT)
        self.refused(lambda: self.begin(TWENTY).join(again, HEIGHT - 1), "bad-join", "is a member")
        parent = set_of(*TWENTY.members, founder(30), free(31))
        for other in (founder(30), free(30), free(31), free(1), founder(1)):
            self.refused(
                lambda m=other: self.begin(parent).join(m, HEIGHT - 1),  # type: ignore[misc]
                "bad-join",
                "is a member",
            )

    def test_another_stake_changes_the_tier(self) -> None:
        silver = replace(member(1, 100, Tier.SILVER, HEIGHT), stake=stake_of(1, 9))
        change = self.begin(TWENTY)
        change.join(silver, HEIGHT - 1)
        found = change.finish()
        self.assertEqual(found.by_pubkey[pubkey(1)], silver)
        self.assertEqual(found.departed, (row(1, HEIGHT),))
        self.assertFalse(found.releases(stake_of(1), pubkey(1), HEIGHT + WAIT - 1))
        self.assertTrue(found.releases(stake_of(1), pubkey(1), HEIGHT + WAIT))
        self.assertFalse(found.releases(stake_of(1, 9), pubkey(1), HEIGHT + WAIT))

    def test_a_tier_change_counts_both_weights(self) -> None:
        silver = replace(member(1, 100, Tier.SILVER), stake=stake_of(1, 9))
        parent = set_of(*(member(number, 100, Tier.SILVER) for number in range(21)), member(30))
        change = self.begin(parent)
        change.join(silver, HEIGHT - 1)
        self.refused(lambda: change.exit(pubkey(30)), "avs-churn")

    def test_a_heartbeat_from_before_the_last_leaving(self) -> None:
        parent = replace(TWENTY, departed=(row(50, left=45),))
        self.refused(lambda: self.begin(parent).join(member(50), 44), "bad-join", "older")
        change = self.begin(parent)
        change.join(member(50), 45)
        self.assertEqual(change.finish().departed, (), "its row is gone")

    def test_free_members_are_at_most_as_many_as_staked_ones(self) -> None:
        parent = set_of(member(1), member(2), free(3))
        change = self.begin(parent)
        change.join(free(4), HEIGHT - 1)
        full = change.finish()
        self.refused(lambda: self.begin(full).join(free(5), HEIGHT - 1), "bad-join", "as many Free")

    def test_when_a_staked_member_goes_the_newest_free_one_goes_too(self) -> None:
        parent = set_of(member(1), member(2), free(3, joined=7), free(4, joined=9))
        change = self.begin(parent)
        change.exit(pubkey(1))
        self.assertEqual(numbers(change.finish()), {2, 3})


class DepartureTests(Base):
    def test_a_stake_waits_for_eight_snapshots(self) -> None:
        change = self.begin(TWENTY)
        change.exit(pubkey(1))
        active = change.finish()
        self.assertEqual(active.departed, (row(1, HEIGHT),))
        for height in range(HEIGHT + 1, HEIGHT + WAIT):
            self.assertFalse(active.releases(stake_of(1), pubkey(1), height))
            active = self.begin(active, height).finish()
        self.assertTrue(active.releases(stake_of(1), pubkey(1), HEIGHT + WAIT))
        self.assertEqual(self.begin(active, HEIGHT + WAIT).finish().departed, ())

    def test_a_stake_in_use_is_kept_and_any_other_is_not(self) -> None:
        self.assertFalse(TWENTY.releases(stake_of(1), pubkey(1), HEIGHT))
        self.assertTrue(TWENTY.releases(stake_of(1, 9), pubkey(1), HEIGHT))

    def test_a_spent_stake_ends_the_membership(self) -> None:
        change = self.begin(TWENTY)
        change.spend({stake_of(3), stake_of(4), stake_of(99)})
        self.assertEqual(numbers(change.finish()), set(range(20)) - {3, 4})

    def test_the_last_member_stays_without_its_stake(self) -> None:
        parent = set_of(member(1), member(2), free(3))
        change = self.begin(parent)
        change.spend({stake_of(1), stake_of(2)})
        self.assertEqual(len(change.finish().staked), 1)

    def test_a_spent_stake_is_exempt_from_churn(self) -> None:
        change = self.begin(TWENTY)
        change.spend({stake_of(3), stake_of(4)})
        change.exit(pubkey(5))


class JailTests(Base):
    def test_out_and_frozen_until_the_term_is_over(self) -> None:
        change = self.begin(TWENTY)
        change.jail(pubkey(1), 49)
        active = change.finish()
        self.assertNotIn(pubkey(1), active.weights)
        until = HEIGHT + TERMS.jail_blocks
        self.assertEqual(active.departed, (row(1, HEIGHT, HEIGHT, until),))
        self.assertFalse(active.releases(stake_of(1), pubkey(1), until - 1))
        self.assertFalse(active.releases(stake_of(1, 9), pubkey(1), until - 1), "any of its stakes")
        self.assertTrue(active.releases(stake_of(2, 9), pubkey(2), until - 1), "nobody else's")
        self.assertTrue(active.releases(stake_of(1), pubkey(1), until))

    def test_no_join_while_in_jail(self) -> None:
        parent = replace(TWENTY, departed=(row(50, 40, 40, HEIGHT + 1),))
        self.refused(lambda: self.begin(parent).join(member(50), 49), "bad-join", "jailed")
        self.begin(parent, HEIGHT + 1).join(member(50), 49)

    def test_exempt_from_churn(self) -> None:
        change = self.begin(TWENTY)
        for number in range(1, 15):
            change.jail(pubkey(number), 49)
        change.exit(pubkey(15))
        self.assertEqual(numbers(change.finish()), {0, 16, 17, 18, 19})

    def test_once_for_an_offence_before_the_jailing(self) -> None:
        change = self.begin(TWENTY)
        change.jail(pubkey(1), 49)
        self.refused(lambda: change.jail(pubkey(1), 49), "bad-evidence", "(again)")
        active = change.finish()
        for offence in (1, HEIGHT):
            later = self.begin(active, HEIGHT + 1)
            self.refused(lambda o=offence, c=later: c.jail(pubkey(1), o), "bad-evidence")  # type: ignore[misc]
        again = self.begin(active, HEIGHT + 2)
        again.jail(pubkey(1), HEIGHT + 1)
        self.assertEqual(
            again.finish().departed, (row(1, HEIGHT, HEIGHT + 2, HEIGHT + 2 + TERMS.jail_blocks),)
        )

    def test_an_offence_before_the_jailing_stays_atoned_when_it_is_back(self) -> None:
        change = self.begin(TWENTY)
        change.jail(pubkey(1), 49)
        height = HEIGHT + TERMS.jail_blocks
        back = self.begin(change.finish(), height)
        back.join(replace(member(1), joined_height=height), height - 1)
        active = back.finish()
        self.assertIn(pubkey(1), active.weights)
        later = self.begin(active, height + 1)
        self.refused(lambda: later.jail(pubkey(1), HEIGHT), "bad-evidence", "(again)")
        later.jail(pubkey(1), height)

    def test_the_jailing_is_forgotten_when_no_older_offence_can_be_proved(self) -> None:
        parent = replace(TWENTY, departed=(row(50, 40, 40, 41),))
        last = 40 + TERMS.evidence_blocks
        self.assertEqual(self.begin(parent, last).finish(), parent)
        self.assertEqual(self.begin(parent, last + 1).finish(), TWENTY)

    def test_who_has_just_departed_is_jailed_with_its_stake(self) -> None:
        parent = replace(TWENTY, departed=(row(50, left=45),))
        change = self.begin(parent)
        change.jail(pubkey(50), 44)
        until = HEIGHT + TERMS.jail_blocks
        self.assertEqual(change.finish().departed, (row(50, 45, HEIGHT, until),))

    def test_all_stakes_of_an_offender_are_frozen(self) -> None:
        old = Departed(pubkey(1), stake_of(1, 9), 45, 0, 0)
        change = self.begin(replace(TWENTY, departed=(old,)))
        change.jail(pubkey(1), 49)
        self.assertEqual({found.jailed_height for found in change.finish().departed}, {HEIGHT})

    def test_evidence_against_a_stranger(self) -> None:
        self.refused(lambda: self.begin(TWENTY).jail(pubkey(99), 49), "bad-evidence")

    def test_leaving_again_keeps_the_jailing(self) -> None:
        jailed = row(50, 40, 40, 45)
        change = self.begin(replace(TWENTY, departed=(jailed,)))
        change.join(member(50), 49)
        active = change.finish()
        self.assertEqual(active.departed, (jailed,))
        change = self.begin(active, HEIGHT + 1)
        change.exit(pubkey(50))
        self.assertEqual(change.finish().departed, (row(50, HEIGHT + 1, 40, 45),))


class ExpiryTests(Base):
    def test_one_after_the_other_oldest_first(self) -> None:
        active = set_of(
            founder(1, expiry=49), founder(2, expiry=50), founder(3, expiry=48), member(4)
        )
        seen = []
        for height in range(HEIGHT, HEIGHT + 5):
            change = self.begin(active, height)
            change.expire()
            active = change.finish()
            seen.append(numbers(active))
        self.assertEqual(seen, [{1, 2, 4}, {2, 4}, {4}, {4}, {4}])

    def test_not_before_its_height(self) -> None:
        active = set_of(founder(1, expiry=HEIGHT + 1), member(2))
        change = self.begin(active)
        change.expire()
        self.assertIs(change.finish(), active)

    def test_several_at_once_within_the_bound(self) -> None:
        founders = (founder(number, 10, expiry=9) for number in range(5))
        active = set_of(*founders, *(member(number) for number in range(5, 40)))
        change = self.begin(active)
        change.expire()
        self.assertEqual(len(change.finish().members), len(active.members) - 2)

    def test_the_last_one_stays(self) -> None:
        active = set_of(founder(1, expiry=9), free(3))
        change = self.begin(active)
        change.expire()
        self.assertIs(change.finish(), active)

    def test_the_last_one_holds_nobody_up(self) -> None:
        change = self.begin(set_of(founder(1, expiry=9)))
        change.expire()
        change.join(member(2), HEIGHT - 1)
        active = change.finish()
        self.assertEqual(numbers(active), {1, 2})
        change = self.begin(active, HEIGHT + 1)
        change.expire()
        self.assertEqual(numbers(change.finish()), {2})

    def test_others_wait_while_it_uses_the_bound(self) -> None:
        change = self.begin(set_of(founder(1, expiry=9), member(2), member(3)))
        change.expire()
        self.refused(lambda: change.exit(pubkey(2)), "avs-churn")

    def test_a_founder_with_a_stake_goes_over_in_the_block_of_its_expiry(self) -> None:
        active = set_of(founder(1, expiry=9), founder(2, expiry=9))
        for height, left in ((HEIGHT, {1, 2}), (HEIGHT + 1, {1, 2})):
            change = self.begin(active, height)
            change.expire()
            number = height - HEIGHT + 1
            staked = replace(member(number), joined_height=height)
            if change.member(pubkey(number)) is None:
                change.join(staked, height - 1)
            active = change.finish()
            self.assertEqual(numbers(active), left)
        self.assertEqual({item.tier for item in active.members}, {Tier.BRONZE})

    def test_a_founder_may_go_over_before(self) -> None:
        change = self.begin(set_of(founder(1), founder(2)))
        change.join(member(1), HEIGHT - 1)
        self.assertEqual(change.finish().weights[pubkey(1)], 10)


class FreeSybilTests(Base):
    """10,000 Free keys beside three staked members (PROTOCOL 4)."""

    def test_three_get_in_whatever_they_do(self) -> None:
        active = set_of(member(1), member(2), member(3))
        height = HEIGHT
        sybils = iter(
            replace(free(1), pubkey=b"sybil" + number.to_bytes(27, "big"))
            for number in range(10_000)
        )
        for _ in range(100):
            change = self.begin(active, height)
            for _ in range(100):
                try:
                    change.join(next(sybils), height - 1)
                except RuleBroken:
                    continue
            active = change.finish()
            height += 1
        self.assertEqual((len(active.members), len(active.staked)), (6, 3))
        self.assertEqual(active.total_weight, 30)
        self.assertLessEqual(len(encode(active)), 1_500)


Step = tuple[str, int, int]


def steps() -> st.SearchStrategy[list[Step]]:
    return st.lists(
        st.tuples(
            st.sampled_from(("join", "free", "founder", "exit", "jail", "spend", "block")),
            st.integers(0, 14),
            st.sampled_from((10, 100, 1_000)),
        ),
        max_size=60,
    )


def play(script: list[Step], start: ActiveSet) -> list[ActiveSet]:
    """The snapshots that ``script`` leads to; each of its steps is tried, valid or not."""
    found, height = [start], HEIGHT
    change = Transition(start, height, TERMS)
    change.expire()
    settled = True
    for action, number, weight in script:
        try:
            match action:
                case "block":
                    found.append(change.finish())
                    height += 1
                    change = Transition(found[-1], height, TERMS)
                    settled = False
                    continue
                case "spend" if not settled:
                    change.spend({stake_of(number)})
                case "jail" if not settled:
                    change.jail(pubkey(number), height - 1)
                case _ if not settled:
                    change.expire()
                    settled = True
            match action:
                case "join":
                    tier = {TIER_WEIGHT[t]: t for t in TIER_WEIGHT}[weight]
                    stake = stake_of(number, tier)
                    joiner = replace(member(number, weight, tier, height), stake=stake)
                    change.join(joiner, height - 1)
                case "free":
                    change.join(free(number, height), height - 1)
                case "founder":
                    change.join(replace(founder(number), joined_height=height), height - 1)
                case "exit":
                    change.exit(pubkey(number))
        except RuleBroken:
            continue
    found.append(change.finish())
    return found


START = set_of(founder(0, expiry=52), founder(1, expiry=53), founder(2, expiry=10**6), member(3))


class PropertyTests(SynchronousTestCase):
    """Whatever a sequence of blocks tries."""

    @given(steps())
    def test_every_snapshot_is_sound(self, script: list[Step]) -> None:
        for active in play(script, START):
            self.assertGreater(active.total_weight, 0)
            self.assertLessEqual(len(active.members), 2 * len(active.staked))
            keys = [item.pubkey for item in active.members]
            self.assertEqual(keys, sorted(set(keys)))
            rows = [(item.pubkey, item.stake) for item in active.departed]
            self.assertEqual(rows, sorted(set(rows)))
            again = decode(encode(active), ActiveSet, 100_000)
            self.assertEqual((again, again.root), (active, active.root))
            for item in active.members:
                if item.stake:
                    self.assertFalse(active.releases(item.stake, item.pubkey, 10**6))

    @given(steps())
    def test_churn_is_bounded_but_for_jail_and_spent_stakes(self, script: list[Step]) -> None:
        tame = [step for step in script if step[0] not in ("jail", "spend")]
        found = play(tame, START)
        for before, after in pairwise(found):
            old, new = before.by_pubkey, after.by_pubkey
            changed = {
                key: [m.weight for m in (old.get(key), new.get(key)) if m is not None and m.staked]
                for key in {**old, **new}
                if old.get(key) != new.get(key)
            }
            weights = {key: sum(parts) for key, parts in changed.items() if parts}
            total = sum(weights.values())
            self.assertTrue(
                len(weights) <= 1 or total * params.CHURN_DIVISOR <= before.total_weight
            )

    @given(steps())
    def test_the_same_steps_give_the_same_roots(self, script: list[Step]) -> None:
        first, second = play(script, START), play(script, START)
        self.assertEqual([item.root for item in first], [item.root for item in second])

    @given(steps(), st.randoms(use_true_random=False))
    def test_a_change_that_is_refused_leaves_no_trace(
        self, script: list[Step], rng: Random
    ) -> None:
        """What holds in some order, carried out in it alone, comes to the same set."""
        parent = play(script, START)[-1]
        moves: list[Member | bytes] = [
            *(item.pubkey for item in parent.members[:3]),
            member(30, 10, Tier.BRONZE, HEIGHT + 99),
            free(31, HEIGHT + 99),
        ]
        rng.shuffle(moves)

        def carry_out(order: list[Member | bytes]) -> tuple[ActiveSet, list[Member | bytes]]:
            change = Transition(parent, HEIGHT + 99, TERMS)
            taken = []
            for what in order:
                try:
                    if isinstance(what, Member):
                        change.join(what, HEIGHT + 98)
                    else:
                        change.exit(what)
                except RuleBroken:
                    continue
                taken.append(what)
            return change.finish(), taken

        active, taken = carry_out(moves)
        again, all_taken = carry_out(taken)
        self.assertEqual(all_taken, taken)
        self.assertEqual(again.root, active.root)
