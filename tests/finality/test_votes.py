"""The voter's rules: locks, one vote, the same bytes, current anchors, members only."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.finality.world import (
    CHAIN_ID,
    COIN,
    WALLET,
    Node,
    World,
    genesis_coin,
    key_of,
    make_set,
    output_of,
    pay,
)
from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import verify
from timecoin.crypto.merkle import merkle_root
from timecoin.finality.messages import Answer, Code, Query, VoteReply
from timecoin.ledger.script import stake
from timecoin.ledger.transaction import Transaction
from timecoin.ledger.utxo import Utxo
from timecoin.machine import Record, Send
from timecoin.masternodes.active_set import Departed
from timecoin.quorum.statement import vote_statement


def ask(
    world: World,
    node: Node,
    poller: Node,
    batch: tuple[Transaction, ...],
    anchor: int = 0,
    bodies: tuple[Transaction, ...] | None = None,
    want_vote: bool = True,
) -> Answer:
    """The answer of ``node`` to a query of ``poller``."""
    sent = len(node.sent)
    wtxids = tuple(tx.wtxid for tx in batch)
    query = Query(7, anchor, wtxids, batch if bodies is None else bodies, want_vote)
    world.receive(node, poller, query)
    answers = [m for peer, m in node.sent[sent:] if isinstance(m, Answer) and peer == poller.name]
    assert len(answers) == 1
    return answers[0]


class VoteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(4)
        self.world.cut = lambda source, target, message: True
        self.node, self.poller, self.other = self.world.nodes[:3]

    def codes(self, answer: Answer) -> list[int]:
        return [item.code for item in answer.answers]

    def test_vote_is_signed_for_root_and_anchor(self) -> None:
        batch = tuple(pay([genesis_coin(index)]) for index in range(9))
        vote = ask(self.world, self.node, self.poller, batch).vote
        assert vote is not None and self.node.key is not None
        root = merkle_root([tx.txid for tx in batch])
        statement = vote_statement(CHAIN_ID, 0, root, 9, bytes(2))
        self.assertTrue(verify(self.node.key.public, statement, vote.signature))
        self.assertEqual(vote.reject_bitmap, bytes(2))

    def test_locks_and_vote_are_durable_before_the_answer(self) -> None:
        """LESSONS 27: record, then send."""
        tx = pay([genesis_coin(0), genesis_coin(1)])
        query = Query(7, 0, (tx.wtxid,), (tx,), True)
        effects = self.world.receive(self.node, self.poller, query)
        durable = [e.table for e in effects if isinstance(e, Record) and e.durable]
        self.assertEqual(sorted(durable), ["locks", "locks", "pool", "votes"])
        self.assertTrue(any(isinstance(e, Send) and e.peer == self.poller.name for e in effects))

    def test_same_bytes_again(self) -> None:
        tx, late = pay([genesis_coin(0)]), pay([genesis_coin(1)])
        self.node.pool.submit(pay([genesis_coin(1)], nonce=1), self.world.now_ms)
        first = ask(self.world, self.node, self.poller, (tx, late)).vote
        again = ask(self.world, self.node, self.poller, (tx, late)).vote
        self.assertEqual(first, again)
        assert first is not None
        self.assertEqual(first.reject_bitmap, b"\x02")

    def test_same_bytes_after_a_restart(self) -> None:
        tx, rejected = pay([genesis_coin(0)]), pay([genesis_coin(1)])
        rival = pay([genesis_coin(1)], nonce=1)
        ask(self.world, self.node, self.other, (rival,), want_vote=False)
        first = ask(self.world, self.node, self.poller, (tx, rejected)).vote
        self.world.crash(self.node)
        # The rival is no longer known after the restart: a fresh vote would accept both.
        self.node.rows = {k: v for k, v in self.node.rows.items() if k != ("pool", rival.txid)}
        self.world.restart(self.node)
        again = ask(self.world, self.node, self.poller, (tx, rejected)).vote
        self.assertIsInstance(first, VoteReply)
        self.assertEqual(first, again)

    def test_lock_survives_a_restart(self) -> None:
        tx, rival = pay([genesis_coin(0)]), pay([genesis_coin(0)], nonce=1)
        ask(self.world, self.node, self.poller, (tx,))
        self.world.crash(self.node)
        self.world.restart(self.node)
        answer = ask(self.world, self.node, self.other, (rival,))
        self.assertIsNone(answer.vote)
        self.assertEqual(
            (answer.answers[0].code, answer.answers[0].detail), (Code.CONFLICT, tx.txid)
        )

    def test_lock_dies_with_a_block_only(self) -> None:
        tx, rival = pay([genesis_coin(0)]), pay([genesis_coin(0)], nonce=1)
        ask(self.world, self.node, self.poller, (tx,))
        for _ in range(3):
            self.world.next_slot()
            self.assertIsNone(ask(self.world, self.node, self.other, (rival,), anchor=1).vote)
            self.assertIn(("locks", genesis_coin(0)[0]), self.node.rows)
        self.world.next_slot([rival])
        self.assertNotIn(("locks", genesis_coin(0)[0]), self.node.rows)
        self.assertEqual(self.node.finality.statistics().locks, 0)

    def test_a_stake_that_a_block_froze(self) -> None:
        """What was valid at one tip need not be at the next; a lock held for it changes nothing."""
        owner = hash160(WALLET.public)
        coin = Utxo(COIN, stake(WALLET.public, bytes(32), owner, owner, 0), 0, False)
        point = b"s" * 32 + bytes(4)
        chain = self.node.chain
        chain._utxos[point] = coin
        tx = pay([(point, coin)])
        answer = ask(self.world, self.node, self.poller, (tx,))
        self.assertEqual(self.codes(answer), [Code.VALID])
        self.assertIsNotNone(answer.vote)
        self.world.next_slot()
        frozen = Departed(WALLET.public, point, 1, 1, 61)
        chain.snapshots = [
            chain.snapshots[0],
            msgspec.structs.replace(chain.snapshots[0], departed=(frozen,)),
        ]
        answer = ask(self.world, self.node, self.poller, (tx,), anchor=1)
        self.assertIsNone(answer.vote)
        self.assertEqual(answer.answers[0].code, Code.INVALID)
        self.assertEqual(answer.answers[0].detail, b"stake-frozen")

    def test_left_over_lock_is_recognised_after_a_crash(self) -> None:
        """The block was written, the deletion of its locks was not."""
        tx = pay([genesis_coin(0)])
        ask(self.world, self.node, self.poller, (tx,))
        rows = dict(self.node.rows)
        self.world.next_slot([tx])
        self.world.crash(self.node)
        self.node.rows = rows
        self.world.restart(self.node)
        self.assertEqual(self.node.finality.statistics().locks, 0)
        self.assertEqual({table for table, _ in self.node.rows}, {"votes"})

    def test_anchor_is_the_tip_or_the_one_before(self) -> None:
        for _ in range(4):
            self.world.next_slot()
        tx = pay([genesis_coin(0)])
        for anchor, expected in (
            (2, Code.UNKNOWN),
            (3, Code.VALID),
            (4, Code.VALID),
            (5, Code.UNKNOWN),
        ):
            answer = ask(self.world, self.node, self.poller, (tx,), anchor=anchor)
            self.assertEqual(self.codes(answer), [expected], anchor)
            self.assertEqual(answer.vote is not None, expected == Code.VALID)

    def test_one_accepting_vote_per_poller_txid_and_anchor(self) -> None:
        tx, more = pay([genesis_coin(0)]), pay([genesis_coin(1)])
        self.assertIsNotNone(ask(self.world, self.node, self.poller, (tx,)).vote)
        vote = ask(self.world, self.node, self.poller, (tx, more)).vote
        assert vote is not None
        self.assertEqual(vote.reject_bitmap, b"\x01")
        vote = ask(self.world, self.node, self.other, (more, tx)).vote
        assert vote is not None
        self.assertEqual(vote.reject_bitmap, b"\x00")
        self.world.next_slot()
        vote = ask(self.world, self.node, self.poller, (tx, more), anchor=1).vote
        assert vote is not None
        self.assertEqual(vote.reject_bitmap, b"\x00")

    def test_votes_of_old_anchors_are_forgotten(self) -> None:
        for index in range(5):
            ask(self.world, self.node, self.poller, (pay([genesis_coin(index)]),), anchor=index)
            self.world.next_slot()
        anchors = {key[:8] for table, key in self.node.rows if table == "votes"}
        self.assertEqual(anchors, {(4).to_bytes(8, "big")})

    def test_child_of_an_uncertified_parent_is_unknown(self) -> None:
        parent = pay([genesis_coin(0)])
        child = pay([output_of(parent)])
        answer = ask(self.world, self.node, self.poller, (parent, child))
        self.assertEqual(self.codes(answer), [Code.VALID, Code.UNKNOWN])
        assert answer.vote is not None
        self.assertEqual(answer.vote.reject_bitmap, b"\x02")

    def test_unknown_body_gives_no_vote(self) -> None:
        known, unknown = pay([genesis_coin(0)]), pay([genesis_coin(1)])
        answer = ask(self.world, self.node, self.poller, (known, unknown), bodies=(known,))
        self.assertEqual(self.codes(answer), [Code.VALID, Code.UNKNOWN])
        self.assertIsNone(answer.vote)
        self.assertEqual(self.node.finality.statistics().locks, 0)

    def test_invalid_is_named_and_charged(self) -> None:
        good = pay([genesis_coin(0)])
        bad = Transaction(1, good.inputs, good.outputs, 0, ((bytes(32), bytes(64)),))
        answer = ask(self.world, self.node, self.poller, (bad,))
        self.assertEqual(
            (answer.answers[0].code, answer.answers[0].detail), (Code.INVALID, b"bad-witness")
        )
        self.assertIsNone(answer.vote)
        self.assertEqual([blame.peer for blame in self.node.blames], [self.poller.name])

    def test_contextual_refusal_is_not_charged(self) -> None:
        tx = pay([genesis_coin(0)])
        self.world.next_slot([tx])
        answer = ask(
            self.world, self.node, self.poller, (pay([genesis_coin(0)], nonce=1),), anchor=1
        )
        self.assertEqual(self.codes(answer), [Code.INVALID])
        self.assertEqual(self.node.blames, [])

    def test_want_vote_false_gives_no_vote(self) -> None:
        answer = ask(self.world, self.node, self.poller, (pay([genesis_coin(0)]),), want_vote=False)
        self.assertIsNone(answer.vote)
        self.assertEqual(self.node.finality.statistics().locks, 0)

    def test_no_vote_while_catching_up(self) -> None:
        self.world.catch_up(self.node, True)
        answer = ask(self.world, self.node, self.poller, (pay([genesis_coin(0)]),))
        self.assertEqual(self.codes(answer), [Code.UNKNOWN])
        self.assertIsNone(answer.vote)
        self.assertEqual(len(self.node.pool), 0)
        self.world.catch_up(self.node, False)
        self.assertIsNotNone(
            ask(self.world, self.node, self.poller, (pay([genesis_coin(0)]),)).vote
        )

    def test_queries_of_others_are_refused(self) -> None:
        world = World(4, followers=1)
        tx = pay([genesis_coin(0)])
        node, follower = world.nodes[0], world.nodes[4]
        effects = world.receive(node, follower, Query(1, 0, (tx.wtxid,), (tx,), True))
        self.assertEqual([blame.peer for blame in node.blames], [follower.name])
        self.assertFalse(any(isinstance(e, Send | Record) for e in effects))
        self.assertEqual(len(node.pool), 0)

    def test_twice_the_same_leaf(self) -> None:
        tx = pay([genesis_coin(0)])
        query = Query(1, 0, (tx.wtxid, tx.wtxid), (tx,), True)
        effects = self.world.receive(self.node, self.poller, query)
        self.assertEqual(len(self.node.blames), 1)
        self.assertFalse(any(isinstance(e, Send | Record) for e in effects))

    def test_two_witnesses_of_one_txid_are_one_leaf(self) -> None:
        tx = pay([genesis_coin(0)])
        other = Transaction(1, tx.inputs, tx.outputs, 0, ((tx.witnesses[0][0], bytes(64)),))
        query = Query(1, 0, (tx.wtxid, other.wtxid), (tx, other), True)
        self.world.receive(self.node, self.poller, query)
        self.assertEqual([blame.reason for blame in self.node.blames], ["duplicate leaf"])
        self.assertEqual(len(self.node.pool), 0)

    def test_body_that_was_not_named(self) -> None:
        tx, stray = pay([genesis_coin(0)]), pay([genesis_coin(1)])
        self.world.receive(self.node, self.poller, Query(1, 0, (tx.wtxid,), (tx, stray), True))
        self.assertEqual(len(self.node.blames), 1)
        self.assertEqual(len(self.node.pool), 0)

    def test_leavers_vote_for_four_more_blocks(self) -> None:
        """The snapshots among anchor-4 .. anchor say who votes."""
        world = World(4)
        world.cut = lambda source, target, message: True
        gone = world.nodes[3]
        world.snapshots.append(make_set((key_of(f"member {index}"), 100) for index in range(3)))
        for height in range(1, 7):
            world.next_slot()
            tx = pay([genesis_coin(height)])
            answer = ask(world, gone, world.nodes[0], (tx,), anchor=height)
            self.assertEqual(answer.vote is not None, height <= 4, height)
