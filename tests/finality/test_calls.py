"""Members that are not linked with each other: calls, votes on their way back, hostile relays."""

from __future__ import annotations

from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.finality import forge
from tests.finality.world import CHAIN_ID, LATENCY_MS, Node, World, genesis_coin, key_of, pay
from timecoin.codec import CodecError, Wire, decode
from timecoin.crypto.keys import SigningKey
from timecoin.finality.messages import (
    CallVotes,
    Certified,
    Finalized,
    Pending,
    Query,
    Receipts,
    Relay,
    ReturnVote,
    VoteReply,
    call_id,
    call_statement,
)
from timecoin.finality.parameters import CALL_MS, MAX_CALLS_PER_POLLER
from timecoin.ledger.transaction import Transaction
from timecoin.sim.topology import random_regular


def make_call(
    world: World, key: SigningKey, batch: tuple[Transaction, ...], time_ms: int = 0, anchor: int = 0
) -> CallVotes:
    """A call as ``key`` would sign it."""
    bare = CallVotes(key.public, time_ms or world.now_ms, anchor, batch, bytes(64))
    return msgspec.structs.replace(bare, signature=key.sign(call_statement(CHAIN_ID, bare)))


def join(world: World, edges: list[tuple[int, int]]) -> None:
    """Link the nodes of ``edges``."""
    for one, other in edges:
        world.link(world.nodes[one], world.nodes[other])
        world.link(world.nodes[other], world.nodes[one])


class SparseTests(SynchronousTestCase):
    def assert_final_everywhere(self, world: World, tx: Transaction) -> None:
        for node in world.nodes:
            self.assertTrue(node.is_final(tx.txid), node.name)
            self.assertEqual(node.blames, [], node.name)

    def test_members_in_a_row_with_others_between_them(self) -> None:
        # Members 0 to 3 are joined by 4, 5 and 6 only, which have no vote.
        world = World(4, followers=3, linked=False)
        join(world, [(0, 4), (4, 1), (1, 5), (5, 2), (2, 6), (6, 3)])
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(30 * LATENCY_MS)
        self.assert_final_everywhere(world, tx)
        sent = [m for node in world.nodes for _, m in node.sent]
        self.assertFalse([m for m in sent if isinstance(m, Query)])
        # The votes of members 1, 2 and 3 have 2, 4 and 6 links to go; two hold Q with the own one.
        self.assertLessEqual(sum(isinstance(m, ReturnVote) for m in sent), 12)
        self.assertLessEqual(sum(isinstance(m, Receipts) for m in sent), 12)

    def test_from_a_node_that_is_linked_with_no_member(self) -> None:
        world = World(4, followers=4, linked=False)
        join(world, [(7, 6), (6, 5), (5, 4), (4, 0), (0, 1), (1, 2), (2, 3)])
        for _ in range(2):
            tx = pay([genesis_coin(_)])
            world.submit(world.nodes[7], tx)
            world.run(1_000)
            self.assert_final_everywhere(world, tx)
        relayed = [m for node in world.nodes for _, m in node.sent if isinstance(m, Relay)]
        self.assertEqual(relayed, [])

    def test_random_graphs_of_many_seeds(self) -> None:
        for seed in range(5):
            world = World(8, followers=12, seed=seed, linked=False)
            join(world, random_regular(20, 4, Random(seed)))
            txs = [pay([genesis_coin(number)]) for number in range(6)]
            for number, tx in enumerate(txs):
                world.submit(world.nodes[3 * number], tx)
            world.run(2_000)
            for tx in txs:
                self.assert_final_everywhere(world, tx)
            self.assertEqual({len(node.finality._parts.calls) > 0 for node in world.nodes}, {True})

    def test_a_dead_collector_is_done_without(self) -> None:
        world = World(5, followers=3, linked=False, seed=4)
        join(world, [(0, 5), (0, 6), (5, 1), (5, 2), (6, 3), (6, 4), (5, 7), (7, 6)])
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        certified = [False]

        def cut(source: bytes, target: bytes, message: Wire) -> bool:
            certified[0] |= isinstance(message, Certified) and source == world.nodes[5].name
            return certified[0] and world.nodes[0].name in (source, target)

        world.cut = cut
        world.run(20_000)
        self.assertTrue(certified[0])
        finals = [node.is_final(tx.txid) for node in world.nodes[1:]]
        self.assertEqual(finals, [True] * 7)

    def test_a_lost_call_is_made_again(self) -> None:
        world = World(3, followers=1, linked=False)
        join(world, [(0, 3), (3, 1), (3, 2)])
        lost: list[Wire] = []

        def cut(source: bytes, target: bytes, message: Wire) -> bool:
            if isinstance(message, CallVotes) and not lost:
                lost.append(message)
                return True
            return False

        world.cut = cut
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(8_000)
        self.assertEqual(len(lost), 1)
        self.assert_final_everywhere(world, tx)

    def test_linked_members_with_enough_weight_are_asked_directly(self) -> None:
        world = World(10)
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(500)
        self.assert_final_everywhere(world, tx)
        sent = [m for node in world.nodes for _, m in node.sent]
        self.assertFalse([m for m in sent if isinstance(m, CallVotes | ReturnVote | Pending)])
        self.assertEqual(sum(isinstance(m, Certified | Finalized) for m in sent), 2 * 9)


class HostileTests(SynchronousTestCase):
    """Member 0 hears calls of member 1 from peers 1, 2 and 4; 4 has no vote."""

    def setUp(self) -> None:
        self.world = World(4, followers=2)
        self.world.cut = lambda source, target, message: True
        self.node, self.peer = self.world.nodes[0], self.world.nodes[4]
        self.poller = key_of("member 1")
        self.tx = pay([genesis_coin(0)])

    def returned(self) -> list[ReturnVote]:
        return [m for _, m in self.node.sent if isinstance(m, ReturnVote)]

    def hear(self, message: Wire, peer: Node | None = None) -> int:
        """Points that the sender was charged with."""
        before = len(self.node.blames)
        self.world.receive(self.node, peer or self.peer, message)
        return sum(blame.points for blame in self.node.blames[before:])

    def test_a_call_is_voted_on_once_however_often_it_is_replayed(self) -> None:
        call = make_call(self.world, self.poller, (self.tx,))
        for node in (self.peer, self.world.nodes[2], self.peer):
            self.assertEqual(self.hear(call, node), 0)
        self.assertEqual(len(self.returned()), 1)
        passed_on = [p for p, m in self.node.sent if isinstance(m, CallVotes)]
        self.assertEqual(len(passed_on), len(set(passed_on)))
        before = self.node.verified
        self.hear(call)
        self.assertEqual(self.node.verified, before)

    def test_forged_origin(self) -> None:
        good = make_call(self.world, self.poller, (self.tx,))
        for bad in (
            msgspec.structs.replace(good, time_ms=good.time_ms - 1),
            msgspec.structs.replace(good, poller=key_of("member 2").public),
            msgspec.structs.replace(good, bodies=(pay([genesis_coin(1)]),)),
            make_call(self.world, key_of("stranger"), (self.tx,)),
            make_call(self.world, self.poller, (self.tx, self.tx)),
        ):
            self.assertGreater(self.hear(bad), 0)
        self.assertEqual(self.returned(), [])
        self.assertEqual(len(self.node.finality._parts.calls), 0)
        self.assertNotIn(self.tx.txid, self.node.pool)

    def test_old_and_future_calls_are_not_passed_on(self) -> None:
        for time_ms in (self.world.now_ms - CALL_MS, self.world.now_ms + CALL_MS):
            self.assertEqual(self.hear(make_call(self.world, self.poller, (self.tx,), time_ms)), 0)
        self.assertEqual(self.hear(make_call(self.world, self.poller, (self.tx,), anchor=1)), 0)
        self.assertEqual(self.node.sent, [])

    def test_a_replay_after_the_path_is_forgotten_is_too_old(self) -> None:
        call = make_call(self.world, self.poller, (self.tx,))
        self.hear(call)
        self.world.run(CALL_MS)
        self.hear(make_call(self.world, self.poller, (pay([genesis_coin(1)]),)))
        self.assertEqual(len(self.node.finality._parts.calls), 1)
        self.node.sent.clear()
        self.hear(call)
        self.assertEqual([m for _, m in self.node.sent if isinstance(m, CallVotes)], [])

    def test_a_body_that_breaks_a_rule_stops_the_call_and_is_charged(self) -> None:
        witnesses = ((self.tx.witnesses[0][0], bytes(64)),)
        forged = msgspec.structs.replace(self.tx, witnesses=witnesses)
        self.assertGreater(self.hear(make_call(self.world, self.poller, (forged,))), 0)
        self.assertEqual(self.node.sent, [])

    def test_calls_of_one_member_are_bounded(self) -> None:
        calls = self.node.finality._parts.calls
        for number in range(MAX_CALLS_PER_POLLER + 5):
            time_ms = self.world.now_ms - number
            self.assertEqual(self.hear(make_call(self.world, self.poller, (self.tx,), time_ms)), 0)
        self.assertEqual(len(calls), MAX_CALLS_PER_POLLER)
        one_more = make_call(self.world, self.poller, (self.tx,), self.world.now_ms + 1)
        self.assertGreater(self.hear(one_more, self.world.nodes[1]), 0)
        other = make_call(self.world, key_of("member 2"), (self.tx,))
        self.hear(other)
        self.assertEqual(len(calls), MAX_CALLS_PER_POLLER + 1)

    def test_votes_on_their_way_back(self) -> None:
        call = make_call(self.world, self.poller, (self.tx,))
        name = call_id(CHAIN_ID, call)
        self.hear(call, self.world.nodes[5])
        (own,) = self.returned()
        self.node.sent.clear()
        for voter in (2, 3):
            key = key_of(f"member {voter}")
            reply = forge.vote(self.world.nodes[voter], [self.tx], anchor=0)
            good = ReturnVote(name, key.public, reply)
            for bad in (
                msgspec.structs.replace(good, voter=key_of("stranger").public),
                msgspec.structs.replace(good, voter=own.voter[::-1]),
                msgspec.structs.replace(good, vote=VoteReply(b"\x00", bytes(64))),
                msgspec.structs.replace(good, vote=VoteReply(b"\x80", reply.signature)),
            ):
                self.assertGreater(self.hear(bad), 0, bad)
            self.assertEqual(self.node.sent, [])
            for _ in range(3):
                self.assertEqual(self.hear(good), 0)
            self.assertEqual(self.node.sent, [(self.world.nodes[5].name, good)])
            self.node.sent.clear()

    def test_votes_for_no_call_cost_nothing_and_do_nothing(self) -> None:
        before = self.node.verified
        reply = forge.vote(self.world.nodes[2], [self.tx], anchor=0)
        vote = ReturnVote(bytes(32), key_of("member 2").public, reply)
        self.assertEqual(self.hear(vote), 0)
        self.assertEqual((self.node.sent, self.node.verified), ([], before))

    def test_who_catches_up_neither_votes_nor_passes_on(self) -> None:
        self.world.catch_up(self.node, True)
        self.assertEqual(self.hear(make_call(self.world, self.poller, (self.tx,))), 0)
        self.assertEqual(self.node.sent, [])

    def test_pending_transactions_are_passed_on_only_if_new_and_sound(self) -> None:
        witnesses = ((self.tx.witnesses[0][0], bytes(64)),)
        forged = msgspec.structs.replace(self.tx, witnesses=witnesses)
        self.assertGreater(self.hear(Pending((forged,))), 0)
        self.world.run(100)
        self.assertEqual([m for _, m in self.node.sent if isinstance(m, Pending)], [])
        self.hear(Pending((self.tx,)))
        self.world.run(100)
        passed_on = [p for p, m in self.node.sent if isinstance(m, Pending)]
        self.assertEqual(passed_on, list(dict.fromkeys(passed_on)))
        self.assertGreaterEqual(len(passed_on), len(self.world.nodes) - 2)
        self.node.sent.clear()
        self.hear(Pending((self.tx, self.tx)))
        self.world.run(100)
        self.assertEqual([m for _, m in self.node.sent if isinstance(m, Pending)], [])

    def test_three_members_become_entry_nodes_of_what_gossip_brought(self) -> None:
        world = World(7)
        world.cut = lambda source, target, message: True
        for node in world.nodes:
            world.receive(node, world.nodes[0], Pending((self.tx,)))
        asking = [
            n for n in world.nodes if any(isinstance(m, Query | CallVotes) for _, m in n.sent)
        ]
        self.assertEqual(len(asking), 3)


class FuzzTests(SynchronousTestCase):
    @given(st.sampled_from([CallVotes, ReturnVote, Pending]), st.binary(max_size=400))
    @settings(max_examples=200)
    def test_noise_is_no_message(self, kind: type[Wire], data: bytes) -> None:
        self.assertRaises(CodecError, decode, data, kind, 10_000)

    @given(st.data())
    @settings(max_examples=60, deadline=None)
    def test_mutated_calls_and_votes_are_refused_or_harmless(self, data: st.DataObject) -> None:
        world = World(4, followers=1)
        world.cut = lambda source, target, message: True
        node, peer = world.nodes[0], world.nodes[4]
        tx = pay([genesis_coin(0)])
        call = make_call(world, key_of("member 1"), (tx,))
        vote = forge.vote(world.nodes[2], [tx], anchor=0)
        returned = ReturnVote(call_id(CHAIN_ID, call), key_of("member 2").public, vote)
        good: Wire = data.draw(st.sampled_from([call, returned, Pending((tx,))]))
        if good is returned:
            world.receive(node, peer, call)
        raw = bytearray(msgspec.msgpack.encode(good))
        position = data.draw(st.integers(0, len(raw) - 1))
        raw[position] ^= data.draw(st.integers(1, 255))
        try:
            bad = decode(bytes(raw), type(good), len(raw))
        except CodecError:
            return
        node.sent.clear()
        world.receive(node, peer, bad)
        world.run(100)
        if isinstance(bad, CallVotes | ReturnVote):
            self.assertEqual([m for _, m in node.sent if isinstance(m, type(bad))], [])
