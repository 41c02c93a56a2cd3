"""One faulty member of four to seven: proposes twice, votes anything to anybody, or both."""

from __future__ import annotations

import functools
import random

from twisted.trial.unittest import SynchronousTestCase

from tests.consensus.fakes import SLOT_MS, signing_key
from tests.consensus.test_votes import ballot
from tests.consensus.world import Peer, World
from timecoin.codec import Wire
from timecoin.consensus import events
from timecoin.consensus.messages import BlockVote, CandidateMessage, Proposal, Votes
from timecoin.machine import Received
from timecoin.quorum.statement import NIL, VoteKind, proposal_statement

LIAR = signing_key(0).public


class Equivocator:
    """Node 0 sends the proposal of its turn to one peer, and another one to the others."""

    def __init__(self, world: World, liar: Peer) -> None:
        self._world = world
        self._liar = liar
        self._twins: dict[tuple[int, int], Proposal] = {}

    def __call__(self, sender: int, receiver: int, message: Wire) -> bool:
        if sender != 0 or not isinstance(message, Proposal) or message.valid_round:
            return False
        if message.proposer != signing_key(0).public:
            return False
        twin = self._twins.get((message.height, message.round)) or self._twin(message)
        peer = self._world.peers[receiver]
        delay_ms = self._world.rng.randint(5, 60)
        if receiver != 1:
            arrived = Received(self._liar.name, twin)
            self._world.at(delay_ms, lambda: self._world.deliver(peer, arrived))
            # A little later it sends the first one, too: now everybody can see the lie.
            late = Received(self._liar.name, message)
            self._world.at(delay_ms + 200, lambda: self._world.deliver(peer, late))
            return True
        return False

    def _twin(self, message: Proposal) -> Proposal:
        header = message.block.header
        checked = self._liar.chain.assemble(
            self._liar.archive.contents(0, 0, 0),
            header.slot,
            header.round,
            header.producer,
            header.vrf_proof,
            header.timestamp_ms + 1,
        )
        statement = proposal_statement(
            self._world.genesis.chain_id,
            message.height,
            message.round,
            0,
            message.slot,
            checked.block.hash,
        )
        twin = Proposal(
            message.height,
            message.round,
            0,
            message.slot,
            message.candidates,
            checked.block,
            None,
            message.proposer,
            signing_key(0).sign(statement),
        )
        self._twins[message.height, message.round] = twin
        return twin


class Liar:
    """Node 0 votes for anything it has seen, for each peer anew, and withholds half of the rest."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._rng = random.Random(f"liar/{seed}")
        self._hashes = [NIL]

    def __call__(self, sender: int, receiver: int, message: Wire) -> bool:
        if isinstance(message, Proposal):
            self._hashes = [*self._hashes, message.block.hash][-6:]
        if sender != 0:
            return False
        match message:
            case BlockVote():
                self._lie(receiver, [message])
            case Votes(votes):
                self._lie(receiver, list(votes))
            case Proposal() | CandidateMessage():
                return self._rng.random() < 0.5
        return True

    def _lie(self, receiver: int, votes: list[BlockVote]) -> None:
        world = self._world
        for vote in votes:
            if vote.voter == LIAR and self._rng.random() < 0.8:
                lie = ballot(
                    0,
                    self._rng.choice(self._hashes),
                    VoteKind(vote.kind),
                    vote.round,
                    vote.height,
                    world.genesis.chain_id,
                )
                arrived = Received(world.peers[0].name, lie)
                tell = functools.partial(world.deliver, world.peers[receiver], arrived)
                world.at(self._rng.randint(1, 500), tell)


class Byzantine(SynchronousTestCase):
    """Below a third of the weight it can delay, but never split."""

    def test_equivocating_proposer_gets_one_block_and_is_reported(self) -> None:
        for seed in range(4):
            world = World([100] * 4, seed=seed)
            liar = world.peers[0]
            world.liars = (LIAR,)
            world.mute = Equivocator(world, liar)
            world.start()
            world.run(30 * SLOT_MS)
            world.check_agreement()
            self.assertGreaterEqual(min(world.heights), 20)
            seen = [s for p in world.peers[1:] for s in p.said(events.Equivocation)]
            self.assertTrue(seen)
            for signal in seen:
                assert isinstance(signal, events.Equivocation)
                self.assertIsInstance(signal.first, Proposal)
                assert isinstance(signal.first, Proposal) and isinstance(signal.second, Proposal)
                self.assertEqual(signal.first.proposer, signing_key(0).public)
                self.assertNotEqual(signal.first.block.hash, signal.second.block.hash)

    def test_lies_crashes_partitions_and_slow_links_at_once(self) -> None:
        for seed in range(8):
            self._everything_at_once(seed)

    def _everything_at_once(self, seed: int) -> None:
        rng = random.Random(f"everything/{seed}")
        count = rng.choice([4, 5, 7])
        world = World([100] * count, seed)
        world.liars = (LIAR,)
        liar, twins = Liar(world, seed), Equivocator(world, world.peers[0])
        world.mute = lambda sender, receiver, message: (
            (seed % 2 == 1 and twins(sender, receiver, message)) or liar(sender, receiver, message)
        )
        world.loss = rng.choice([0.0, 0.05, 0.3])
        world.delay_ms = rng.choice([(5, 60), (5, 1_500), (5, 4_000)])
        chance = rng.choice([0.0, 0.002, 0.01])
        world.crash = lambda peer, event, now: peer.index != 0 and rng.random() < chance
        world.start()
        for _ in range(8):
            if rng.random() < 0.4:
                nodes = list(range(count))
                rng.shuffle(nodes)
                cut = rng.randint(1, count - 1)
                world.partition(tuple(nodes[:cut]), tuple(nodes[cut:]))
            world.run(rng.randint(1_000, 20_000))
            world.heal()
        world.check_agreement()
        # The faults end, the liar is silent: the others go on.
        top = max(world.heights)
        world.loss, world.delay_ms = 0.0, (5, 60)
        world.crash = lambda peer, event, now: False
        world.mute = lambda sender, receiver, message: 0 in (sender, receiver)
        world.run(10 * SLOT_MS)
        world.check_agreement()
        self.assertGreaterEqual(min(world.heights[1:]), top + 5, seed)
