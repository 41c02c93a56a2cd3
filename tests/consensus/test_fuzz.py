"""Messages in any order, and the same order under any hash seed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.consensus.desk import Desk, peer
from tests.consensus.fakes import SLOT_MS, payment, signing_key
from tests.consensus.world import World
from timecoin.codec import encode
from timecoin.consensus.journal import vote_key
from timecoin.consensus.messages import BlockVote, Votes
from timecoin.consensus.timeouts import Timeout
from timecoin.ledger.block import Block
from timecoin.machine import (
    Broadcast,
    CatchUpChanged,
    LinkDown,
    LinkUp,
    NewTip,
    Received,
    Send,
    Spread,
    TimerFired,
)
from timecoin.mempool.exchange import BodiesFetched
from timecoin.quorum.statement import NIL, VoteKind

PREPARE, PRECOMMIT = VoteKind.PREPARE, VoteKind.PRECOMMIT


class Fuzz(SynchronousTestCase):
    """Any order of messages, true and false: no exception, no second signature, bounded answers."""

    @settings(max_examples=60)
    @given(st.data())
    def test_any_order(self, data: st.DataObject) -> None:
        desk = Desk()
        desk.bodies[payment(1).wtxid] = payment(1)
        desk.start()
        blocks = [
            desk.block(index, round_=round_, transactions=transactions)
            for index in (1, 2, 3)
            for round_ in (0, 1)
            for transactions in ((), (payment(1),), (payment(2),))
        ]
        signed: dict[tuple[int, int, int], bytes] = {}
        for _ in range(data.draw(st.integers(5, 60))):
            event = self._event(desk, blocks, data)
            effects = desk.restart() if event is None else desk.do(event)
            desk.now_ms += data.draw(st.sampled_from([0, 1, 50, 1_000, 9_000]))
            for effect in effects:
                if isinstance(effect, Broadcast | Spread | Send):
                    for vote in own_votes(effect.message):
                        position = (vote.height, vote.round, vote.kind)
                        self.assertEqual(
                            signed.setdefault(position, vote.block_hash), vote.block_hash
                        )
                        self.assertIn(("consensus", vote_key(*position)), desk.rows)

    def _event(self, desk: Desk, blocks: list[Block], data: st.DataObject) -> object | None:
        draw = data.draw
        index = draw(st.integers(1, 3))
        round_ = draw(st.integers(0, 3))
        block = draw(st.sampled_from(blocks))
        block_hash = draw(st.sampled_from([NIL, block.hash]))
        slot = desk.first_slot + draw(st.sampled_from([0, 0, 1]))
        match draw(st.integers(0, 12)):
            case 0 | 1 | 2 | 3:
                kind = draw(st.sampled_from([PREPARE, PRECOMMIT]))
                vote = desk.vote(index, block_hash, kind, round_)
                if draw(st.integers(0, 9)) == 0:
                    vote = msgspec.structs.replace(vote, signature=bytes(64))
                return Received(peer(index), vote)
            case 4 | 5:
                return Received(peer(index), desk.candidate(index, slot))
            case 6 | 7 | 8:
                quorum = draw(st.sampled_from([None, desk.quorum(block.hash)]))
                proposal = desk.proposal(index, block, round_, slot, quorum=quorum)
                return Received(peer(index), proposal)
            case 9:
                timeout = draw(st.sampled_from(Timeout))
                return TimerFired(("round", desk.height, desk.view.round, int(timeout)))
            case 10:
                return draw(
                    st.sampled_from(
                        [
                            TimerFired(("slot", desk.height)),
                            TimerFired(("collect", desk.height, slot)),
                            TimerFired(("retransmit", desk.height)),
                            LinkUp(peer(index), signing_key(index).public),
                            LinkDown(peer(index)),
                            NewTip(),
                            BodiesFetched(()),
                        ]
                    )
                )
            case 11:
                return CatchUpChanged(draw(st.booleans()))
        return None


def own_votes(message: object) -> list[BlockVote]:
    own = signing_key(0).public
    match message:
        case BlockVote():
            return [message] if message.voter == own else []
        case Votes(votes):
            return [vote for vote in votes if vote.voter == own]
    return []


class Determinism(SynchronousTestCase):
    def test_order_does_not_depend_on_the_hash_seed(self) -> None:
        digests = set()
        for seed in ("1", "2"):
            environment = {**os.environ, "PYTHONHASHSEED": seed}
            command = [sys.executable, "-c", "import tests.consensus.test_fuzz as t; t.trace()"]
            digests.add(
                subprocess.run(command, env=environment, capture_output=True, check=True).stdout
            )
        self.assertEqual(len(digests), 1)
        self.assertEqual(len(digests.pop()), 65)


def trace() -> None:
    """Print a digest of all messages of some heights with lost messages."""
    digest = hashlib.sha256()
    world = World([100, 50, 70, 100], seed=3)
    world.loss = 0.2

    def note(sender: int, receiver: int, message: object) -> bool:
        digest.update(bytes((sender, receiver)) + world.now_ms.to_bytes(8, "big") + encode(message))
        return False

    world.mute = note
    world.start()
    world.run(6 * SLOT_MS)
    print(digest.hexdigest())
