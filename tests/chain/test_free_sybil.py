"""10,000 Free keys beside three staked members move nothing but a twentieth of a reward.

The set here holds them all, which the transition would never let happen: weights alone keep them
out of quorums, of the lottery, of witnessing and so of joins and removals.
"""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.support.ledger_kit import TIME, key
from timecoin.consensus.sortition import SortitionError, eligible, eligible_member
from timecoin.consensus.votes import VoteBook
from timecoin.crypto.hashing import hash160
from timecoin.ledger.rewards import expected_reward
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.masternodes.active_set import ActiveSet, Member, Tier
from timecoin.masternodes.admission import NO_VRF_KEY
from timecoin.masternodes.heartbeat import needed_for, witnesses
from timecoin.quorum.snapshots import voter_index
from timecoin.quorum.tally import exceeds_third, has_quorum, weight_of

SYBILS = 10_000
SYBIL_PAYOUT = hash160(b"sybil")
STAKED = tuple(
    Member(
        key(number).public,
        key(number).public,
        10,
        Tier.BRONZE,
        hash160(key(number).public),
        1,
        0,
        bytes([number]) * 36,
    )
    for number in range(3)
)
FREE = tuple(
    Member(b"sybil" + n.to_bytes(27, "big"), NO_VRF_KEY, 1, Tier.FREE, SYBIL_PAYOUT, 1, 0)
    for n in range(SYBILS)
)
ACTIVE = ActiveSet(tuple(sorted((*STAKED, *FREE), key=lambda member: member.pubkey)))
FREE_KEYS = [member.pubkey for member in FREE]
STAKED_KEYS = sorted(member.pubkey for member in STAKED)


class FreeSybilTests(SynchronousTestCase):
    def test_no_quorum_and_no_voice(self) -> None:
        self.assertEqual(weight_of(FREE_KEYS, ACTIVE), 0)
        self.assertFalse(has_quorum([*FREE_KEYS, STAKED_KEYS[0]], (ACTIVE,)))
        self.assertTrue(has_quorum(STAKED_KEYS[:2], (ACTIVE,)))
        self.assertFalse(exceeds_third(FREE_KEYS, ACTIVE))
        self.assertEqual(list(voter_index((ACTIVE,))), STAKED_KEYS)
        book = VoteBook(2, (ACTIVE,), ACTIVE)
        self.assertFalse(any(book.is_voter(pubkey) for pubkey in FREE_KEYS))

    def test_no_place_in_the_lottery(self) -> None:
        self.assertEqual([member.pubkey for member in eligible(ACTIVE, 9)], STAKED_KEYS)
        self.assertRaises(SortitionError, eligible_member, ACTIVE, 9, FREE_KEYS[0])

    def test_no_witness_so_no_join_and_no_removal(self) -> None:
        for pubkey in (STAKED_KEYS[0], FREE_KEYS[0]):
            for number in range(50):
                drawn = witnesses(bytes([number]) * 32, pubkey, ACTIVE)
                self.assertEqual(set(drawn), set(STAKED_KEYS) - {pubkey})
        self.assertEqual(needed_for(STAKED_KEYS[0], ACTIVE), 1)

    def test_at_most_a_twentieth_of_a_reward(self) -> None:
        reward = expected_reward(100 * TIME, ACTIVE.members, STAKED_KEYS[0], 7, 9)
        script = pay_to_pubkey_hash(SYBIL_PAYOUT)
        total = sum(output.value for output in reward.outputs)
        theirs = sum(output.value for output in reward.outputs if output.lock_script == script)
        self.assertEqual(total, 209_86122886 + 7)
        self.assertEqual(theirs, total // 20 // SYBILS * SYBILS)

    def test_staked_members_lose_no_more_than_that(self) -> None:
        alone = msgspec.structs.replace(
            ACTIVE, members=tuple(sorted(STAKED, key=lambda m: m.pubkey))
        )
        for member in STAKED:
            script = pay_to_pubkey_hash(member.payout_hash)
            with_them, without = (
                sum(
                    output.value
                    for output in expected_reward(
                        100 * TIME, members.members, STAKED_KEYS[0], 0, 9
                    ).outputs
                    if output.lock_script == script
                )
                for members in (ACTIVE, alone)
            )
            self.assertGreaterEqual(with_them * 100, without * 94)
