"""The pool of evidence: what it takes, keeps, passes on, charges and lets go."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.quorum.members import CHAIN_ID, KEYS, active_set
from tests.quorum.proofs import signed_twice, voted_twice
from timecoin.codec import CodecError
from timecoin.crypto.keys import verify
from timecoin.evidence import machine
from timecoin.evidence.events import EvidenceHeld, Witnessed
from timecoin.evidence.machine import FORGED_POINTS, GRACE_BLOCKS, STALE_POINTS, TABLE, EvidencePool
from timecoin.machine import (
    Blame,
    Broadcast,
    Effect,
    Emit,
    LinkUp,
    NewTip,
    Received,
    Record,
    Restore,
    Send,
)
from timecoin.masternodes.active_set import ActiveSet, Departed
from timecoin.quorum.evidence import Evidence, decode_evidence

replace = msgspec.structs.replace

PEER, OTHER = b"p" * 32, b"o" * 32
CULPRIT = KEYS[2]
TIP = 50
EVERYBODY = active_set(dict.fromkeys(range(6), 100))


class Chain:
    """``everybody`` at all heights but the tip, where ``members`` are."""

    def __init__(self) -> None:
        self.tip_height = TIP
        self.members: ActiveSet = EVERYBODY
        self.everybody: ActiveSet = EVERYBODY
        self.since = 0

    def active_set(self, height: int) -> ActiveSet | None:
        if not self.since <= height <= self.tip_height:
            return None
        return self.members if height == self.tip_height else self.everybody


class PoolTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.chain = Chain()
        self.checked = 0
        self.pool = self.make_pool()

    def make_pool(self) -> EvidencePool:
        def counting(pubkey: bytes, message: bytes, signature: bytes) -> bool:
            self.checked += 1
            return verify(pubkey, message, signature)

        return EvidencePool(CHAIN_ID, self.chain, counting)

    def receive(self, evidence: Evidence, peer: bytes = PEER) -> list[Effect]:
        return self.pool.handle(Received(peer, evidence), 0)

    def advance(self, members: ActiveSet = EVERYBODY, blocks: int = 1) -> list[Effect]:
        self.chain.tip_height += blocks
        self.chain.members = members
        return self.pool.handle(NewTip(), 0)

    def jailed(self, height: int) -> ActiveSet:
        """The set in which the block ``height`` has jailed the culprit."""
        rest = active_set({index: 100 for index in range(6) if index != 2})
        return replace(rest, departed=(Departed(CULPRIT.public, b"", height, height, height + 60),))

    def test_what_is_seen_here_is_recorded_before_it_is_told(self) -> None:
        evidence = signed_twice(CULPRIT, CHAIN_ID, TIP)
        effects = self.pool.handle(Witnessed(evidence), 0)
        self.assertEqual(
            effects,
            [
                Record(TABLE, CULPRIT.public, evidence.encoded),
                Broadcast(evidence, skip=None),
                Emit(EvidenceHeld(evidence)),
            ],
        )
        self.assertEqual(self.pool.held, (evidence,))
        self.assertEqual(self.pool.evidence(), (evidence.encoded,))

    def test_what_a_peer_sends_is_checked_and_passed_on_once(self) -> None:
        evidence = voted_twice(CULPRIT, CHAIN_ID, (TIP, TIP))
        effects = self.receive(evidence)
        self.assertIn(Broadcast(evidence, skip=PEER), effects)
        before = self.checked
        self.assertEqual(self.receive(evidence, OTHER), [])
        self.assertEqual(self.pool.handle(Witnessed(evidence), 0), [])
        self.assertEqual(self.checked, before)

    def test_one_proof_for_an_accused(self) -> None:
        self.receive(signed_twice(CULPRIT, CHAIN_ID, TIP))
        before = self.checked
        self.assertEqual(self.receive(signed_twice(CULPRIT, CHAIN_ID, TIP - 1)), [])
        self.assertEqual(self.checked, before)
        self.assertEqual(len(self.pool.held), 1)

    def test_forged(self) -> None:
        good = signed_twice(CULPRIT, CHAIN_ID, TIP)
        for forged in (
            signed_twice(CULPRIT, b"\x01" + CHAIN_ID[1:], TIP),
            Evidence(replace(good.proof, round=9)),
            Evidence(replace(good.proof, signer=KEYS[1].public)),
            Evidence(replace(good.proof, second=replace(good.proof.second, signature=bytes(64)))),
        ):
            (blame,) = self.receive(forged)
            assert isinstance(blame, Blame)
            self.assertEqual((blame.peer, blame.points), (PEER, FORGED_POINTS))
        self.assertEqual(self.pool.held, ())
        self.assertEqual(len(self.receive(good)), 3)

    def test_strangers_are_not_accused(self) -> None:
        self.assertEqual(self.receive(signed_twice(KEYS[7], CHAIN_ID, TIP)), [])
        (blame,) = self.receive(signed_twice(KEYS[7], CHAIN_ID, TIP - GRACE_BLOCKS))
        assert isinstance(blame, Blame)
        self.assertEqual(blame.points, STALE_POINTS)
        self.assertEqual(self.checked, 0)

    def test_too_old_is_charged_too_new_is_not(self) -> None:
        self.chain.since = 30
        (blame,) = self.receive(signed_twice(CULPRIT, CHAIN_ID, 20))
        assert isinstance(blame, Blame)
        self.assertEqual(blame.points, STALE_POINTS)
        self.assertEqual(self.receive(signed_twice(CULPRIT, CHAIN_ID, TIP + 2)), [])
        self.assertEqual(self.pool.held, ())
        self.assertEqual(len(self.receive(signed_twice(CULPRIT, CHAIN_ID, TIP + 1))), 3)

    def test_before_the_last_jailing(self) -> None:
        self.chain.members = replace(EVERYBODY, departed=self.jailed(40).departed)
        (blame,) = self.receive(signed_twice(CULPRIT, CHAIN_ID, 40))
        self.assertIsInstance(blame, Blame)
        self.assertEqual(len(self.receive(signed_twice(CULPRIT, CHAIN_ID, 41))), 3)

    def test_settled_just_now_is_not_charged(self) -> None:
        self.chain.members = self.jailed(TIP)
        self.assertEqual(self.receive(signed_twice(CULPRIT, CHAIN_ID, TIP)), [])

    def test_ends_when_a_block_has_jailed(self) -> None:
        evidence = signed_twice(CULPRIT, CHAIN_ID, TIP)
        self.receive(evidence)
        self.assertEqual(self.advance(), [Broadcast(evidence)])
        effects = self.advance(self.jailed(TIP + 2))
        self.assertEqual(effects, [Record(TABLE, CULPRIT.public, None, durable=False)])
        self.assertEqual(self.pool.evidence(), ())
        self.assertEqual(len(self.receive(signed_twice(CULPRIT, CHAIN_ID, TIP + 3))), 3)

    def test_ends_when_the_accused_is_gone_with_its_stake(self) -> None:
        self.receive(signed_twice(CULPRIT, CHAIN_ID, TIP))
        gone = active_set({index: 100 for index in range(6) if index != 2})
        self.assertEqual(len(self.advance(gone)), 1)
        self.assertEqual(self.pool.held, ())

    def test_ends_with_its_snapshots(self) -> None:
        self.receive(signed_twice(CULPRIT, CHAIN_ID, TIP))
        self.chain.since = TIP - 2
        self.assertEqual(len(self.advance()), 1)
        self.assertEqual(len(self.pool.held), 1)
        self.chain.since = TIP - 1
        self.assertEqual(self.advance(), [Record(TABLE, CULPRIT.public, None, durable=False)])

    def test_a_new_link_is_told(self) -> None:
        evidence = signed_twice(CULPRIT, CHAIN_ID, TIP)
        self.receive(evidence)
        self.assertEqual(self.pool.handle(LinkUp(OTHER, None), 0), [Send(OTHER, evidence)])

    def test_telling_again_is_bounded(self) -> None:
        self.patch(machine, "MAX_TOLD", 3)
        for key in KEYS[:6]:
            self.receive(signed_twice(key, CHAIN_ID, TIP))
        self.assertEqual(len(self.pool.held), 6)
        self.assertEqual(len(self.pool.handle(NewTip(), 0)), 3)
        self.assertEqual(len(self.pool.handle(LinkUp(OTHER, None), 0)), 3)

    def test_bytes_and_number_are_bounded(self) -> None:
        size = len(signed_twice(KEYS[1], CHAIN_ID, TIP).encoded)
        for name, bound in (("MAX_BYTES", 2 * size - 1), ("MAX_HELD", 1)):
            self.pool = self.make_pool()
            self.receive(signed_twice(KEYS[1], CHAIN_ID, TIP))
            patch = self.patch(machine, name, bound)
            self.assertEqual(self.receive(signed_twice(CULPRIT, CHAIN_ID, TIP)), [])
            self.assertEqual(len(self.pool.held), 1)
            patch.restore()

    def test_survives_a_restart(self) -> None:
        evidence = signed_twice(CULPRIT, CHAIN_ID, TIP)
        settled = signed_twice(KEYS[1], CHAIN_ID, TIP)
        rows = (
            (TABLE, CULPRIT.public, evidence.encoded),
            (TABLE, KEYS[1].public, settled.encoded),
            ("locks", b"x", b"y"),
        )
        departed = (Departed(KEYS[1].public, b"", TIP, TIP, TIP + 60),)
        self.chain.members = replace(EVERYBODY, departed=departed)
        pool = self.make_pool()
        effects = pool.handle(Restore(rows), 0)
        self.assertEqual(effects, [Record(TABLE, KEYS[1].public, None, durable=False)])
        self.assertEqual(pool.held, (evidence,))

    @given(st.integers(0, 5), st.data())
    def test_mutated_evidence_never_gets_in(self, culprit: int, data: st.DataObject) -> None:
        good = voted_twice(KEYS[culprit], CHAIN_ID, (TIP, TIP - 1))
        mutated = bytearray(good.encoded)
        bit = data.draw(st.integers(0, 8 * len(mutated) - 1))
        mutated[bit // 8] ^= 1 << bit % 8
        try:
            evidence = decode_evidence(bytes(mutated))
        except CodecError:
            return
        pool = self.make_pool()
        effects = pool.handle(Received(PEER, evidence), 0)
        self.assertEqual(pool.held, ())
        self.assertTrue(all(isinstance(effect, Blame) for effect in effects))
