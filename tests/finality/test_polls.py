"""Polls as the poller runs them: waves, answers it must not believe, anchors, batches."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.finality.world import CHAIN_ID, LATENCY_MS, Node, World, genesis_coin, key_of, pay
from timecoin import params
from timecoin.codec import encode
from timecoin.crypto.merkle import merkle_root
from timecoin.finality.messages import Answer, Certified, Code, Query, TxAnswer, VoteReply
from timecoin.ledger.transaction import Transaction
from timecoin.machine import LinkUp, Record, Send
from timecoin.quorum.statement import vote_statement


def queries(node: Node, want_vote: bool = True) -> list[tuple[bytes, Query]]:
    """What ``node`` asked of whom."""
    return [(peer, m) for peer, m in node.sent if isinstance(m, Query) and m.want_vote is want_vote]


class AnswerTests(SynchronousTestCase):
    """The answers are scripted: nothing else reaches the poller."""

    def setUp(self) -> None:
        self.world = World(4)
        self.world.cut = lambda source, target, message: True
        self.poller = self.world.nodes[0]
        self.tx = pay([genesis_coin(0)])
        self.world.submit(self.poller, self.tx)
        asked = queries(self.poller)
        self.query = asked[0][1]
        self.members = [self.world.node_called(peer) for peer, _ in asked]

    def answer_of(self, node: Node) -> Answer:
        """What ``node`` says to the query."""
        self.world.receive(node, self.poller, self.query)
        return next(m for _, m in reversed(node.sent) if isinstance(m, Answer))

    def is_certified(self) -> bool:
        return len(self.poller.finality._parts.certificates) > 0

    def test_honest_votes_certify(self) -> None:
        for node in self.members:
            self.world.receive(self.poller, node, self.answer_of(node))
        self.assertTrue(self.is_certified())

    def test_forged_votes_are_charged_and_not_counted(self) -> None:
        for node in self.members:
            answer = self.answer_of(node)
            assert answer.vote is not None
            for vote in (
                VoteReply(answer.vote.reject_bitmap, bytes(64)),
                VoteReply(b"\x02", answer.vote.signature),
                VoteReply(b"\x00\x00", answer.vote.signature),
            ):
                self.poller.blames.clear()
                forged = msgspec.structs.replace(answer, vote=vote)
                self.world.receive(self.poller, node, forged)
                self.assertEqual([blame.peer for blame in self.poller.blames], [node.name])
        self.assertFalse(self.is_certified())

    def test_padding_must_be_zero_even_if_signed(self) -> None:
        for node in self.members:
            answer = self.answer_of(node)
            assert node.key is not None
            for bitmap in (b"\x02", b"\x00\x00"):
                statement = vote_statement(CHAIN_ID, 0, merkle_root([self.tx.txid]), 1, bitmap)
                vote = VoteReply(bitmap, node.key.sign(statement))
                self.world.receive(self.poller, node, msgspec.structs.replace(answer, vote=vote))
        self.assertEqual(len(self.poller.blames), 4)
        self.assertFalse(self.is_certified())

    def test_another_members_vote_does_not_count(self) -> None:
        first, second = self.members
        self.world.receive(self.poller, first, self.answer_of(first))
        self.world.receive(self.poller, second, self.answer_of(first))
        self.assertFalse(self.is_certified())
        self.assertEqual([blame.peer for blame in self.poller.blames], [second.name])

    def test_vote_is_counted_once(self) -> None:
        node = self.members[0]
        answer = self.answer_of(node)
        self.world.receive(self.poller, node, answer)
        self.world.receive(self.poller, node, answer)
        self.assertFalse(self.is_certified())
        self.assertEqual(len(self.poller.blames), 1)

    def test_answer_of_somebody_who_was_not_asked(self) -> None:
        other = next(node for node in self.world.nodes[1:] if node not in self.members)
        self.world.receive(self.poller, other, self.answer_of(other))
        self.assertEqual([blame.peer for blame in self.poller.blames], [other.name])
        self.assertEqual(self.poller.finality.statistics().votes_received, 0)

    def test_answer_to_a_question_never_asked(self) -> None:
        answer = msgspec.structs.replace(self.answer_of(self.members[0]), request=2**63)
        effects = self.world.receive(self.poller, self.members[0], answer)
        self.assertEqual(len(self.poller.blames), 1)
        self.assertFalse([e for e in effects if isinstance(e, Record | Send)])

    def test_late_answer_is_no_fault(self) -> None:
        """LESSONS 15: never for slowness."""
        answer = self.answer_of(self.members[0])
        self.world.run(1_000)
        self.world.receive(self.poller, self.members[0], answer)
        self.assertEqual(self.poller.blames, [])

    def test_late_votes_count(self) -> None:
        """Under load everybody is late: a network that threw such votes away would collapse."""
        answers = [self.answer_of(node) for node in self.members]
        self.world.run(1_000)
        for node, answer in zip(self.members, answers, strict=True):
            self.world.receive(self.poller, node, answer)
        self.assertTrue(self.is_certified())
        self.assertEqual(len(queries(self.poller)), 3)

    def test_only_who_has_not_voted_is_asked_again_and_after_a_pause(self) -> None:
        first, second = self.members
        self.world.receive(self.poller, first, self.answer_of(first))
        self.world.run(1_900)
        before = len(queries(self.poller))
        self.world.run(1_500)
        again = queries(self.poller)[before:]
        self.assertNotIn(first.name, [peer for peer, _ in again])
        self.assertIn(second.name, [peer for peer, _ in again])
        self.assertEqual({query.request for _, query in again}, {self.query.request})

    def test_after_a_second_question_two_answers_are_no_fault(self) -> None:
        _, second = self.members
        known = self.answer_of(second)
        unknown = msgspec.structs.replace(known, answers=(TxAnswer(Code.UNKNOWN, b""),), vote=None)
        self.world.run(3_500)
        self.world.receive(self.poller, second, unknown)
        self.world.receive(self.poller, second, known)
        self.assertEqual(self.poller.blames, [])
        self.assertEqual(self.poller.finality.statistics().votes_received, 1)

    def test_overdue_polls_hold_up_nobody(self) -> None:
        self.world.run(1_000)
        self.assertEqual(self.poller.finality.statistics().running_polls, 1)
        self.world.submit(self.poller, pay([genesis_coin(1)]))
        self.assertEqual(self.poller.finality.statistics().running_polls, 2, "at once")

    def test_a_poll_of_what_waits_no_longer_is_not_repeated(self) -> None:
        self.world.run(1_000)
        before = len(queries(self.poller))
        self.poller.finality._context.pool.certify(self.tx.txid, self.world.now_ms)
        self.world.run(3_000)
        self.assertEqual(len(queries(self.poller)), before)
        self.assertEqual(self.poller.finality.statistics().running_polls, 0)

    def test_answer_of_the_wrong_length(self) -> None:
        answer = self.answer_of(self.members[0])
        long = msgspec.structs.replace(answer, answers=answer.answers * 2)
        self.world.receive(self.poller, self.members[0], long)
        self.assertEqual(len(self.poller.blames), 1)
        self.assertEqual(self.poller.finality.statistics().votes_received, 0)


class WaveTests(SynchronousTestCase):
    def test_unknown_in_the_first_wave_brings_the_second_at_once(self) -> None:
        world = World(7)
        for node in world.nodes[1:]:
            world.catch_up(node, True)
        world.submit(world.nodes[0], pay([genesis_coin(0)]))
        self.assertEqual(len(queries(world.nodes[0])), 5)
        world.run(3 * LATENCY_MS)
        self.assertEqual(len(queries(world.nodes[0])), 6)

    def test_second_wave_after_a_tenth_of_a_second(self) -> None:
        world = World(7)
        world.cut = lambda source, target, message: True
        world.submit(world.nodes[0], pay([genesis_coin(0)]))
        world.run(99)
        self.assertEqual(len(queries(world.nodes[0])), 5)
        world.run(2)
        self.assertEqual(len(queries(world.nodes[0])), 6)

    def test_the_next_batch_waits_ten_ms_for_company(self) -> None:
        world = World(4)
        world.cut = lambda source, target, message: True
        node = world.nodes[0]
        for index in range(4):
            world.submit(node, pay([genesis_coin(index)]))
        self.assertEqual(node.finality.statistics().polls_begun, 1)
        world.run(9)
        self.assertEqual(node.finality.statistics().polls_begun, 1)
        world.run(1)
        self.assertEqual(node.finality.statistics().polls_begun, 2)
        self.assertEqual(node.finality.statistics().transactions_polled, 4)

    def test_sixty_four_wait_for_nothing(self) -> None:
        world = World(4)
        world.cut = lambda source, target, message: True
        node = world.nodes[0]
        for index in range(1 + 64 + 1):
            world.submit(node, pay([genesis_coin(index)]))
        self.assertEqual(node.finality.statistics().transactions_polled, 65)
        self.assertEqual(node.finality.statistics().queued, 1)

    def test_a_query_carries_at_most_a_megabyte(self) -> None:
        world = World(4, coins=4_000)
        world.cut = lambda source, target, message: True
        node = world.nodes[0]
        big = [
            pay([genesis_coin(i * 600 + j) for j in range(600)]) for i in range(6)
        ]  # some 80 kB each
        world.submit(node, pay([genesis_coin(3_999)]))
        for _ in range(3):
            for tx in big:
                world.submit(node, tx)
        world.run(10)
        sizes = [len(encode(m)) for _, m in queries(node)]
        self.assertLessEqual(max(sizes), params.QUERY_MAX_BYTES)
        self.assertEqual(node.finality.statistics().transactions_polled, 7)

    def test_failed_batch_is_asked_for_again_as_it_was(self) -> None:
        """Members that voted give the same vote; their answers had been lost."""
        world = World(4)
        world.cut = lambda source, target, message: isinstance(message, Answer)
        poller = world.nodes[0]
        world.submit(poller, pay([genesis_coin(9)]))  # occupies the poll
        txs = [pay([genesis_coin(index)]) for index in range(5)]
        for tx in txs:
            world.submit(poller, tx)
        world.run(1_000)
        world.cut = lambda source, target, message: (
            source != poller.name and not isinstance(message, Answer)
        )
        world.run(2_500)
        batches = {tuple(m.wtxids) for _, m in queries(poller)}
        self.assertEqual(sorted(len(batch) for batch in batches), [1, 5])
        certified = [m.certificate for _, m in poller.sent if isinstance(m, Certified)]
        self.assertIn(tuple(tx.txid for tx in txs), [item.leaves for item in certified])


class AnchorTests(SynchronousTestCase):
    def test_a_tip_that_others_may_lack_is_no_anchor(self) -> None:
        world = World(4)
        for _ in range(2):
            world.next_slot()
        world.run(2_000)
        world.connect(nodes=world.nodes[:1])  # the others will connect it in a moment
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        self.assertEqual({m.anchor for _, m in queries(world.nodes[0])}, {2})
        world.run(2 * LATENCY_MS)
        self.assertEqual(len(world.nodes[0].finality._parts.certificates), 1)

    def test_a_tip_of_some_age_is(self) -> None:
        world = World(4)
        world.next_slot()
        world.run(1_500)
        world.submit(world.nodes[0], pay([genesis_coin(0)]))
        self.assertEqual({m.anchor for _, m in queries(world.nodes[0])}, {1})

    def test_polls_end_when_their_anchor_is_too_old(self) -> None:
        world = World(4)
        world.cut = lambda source, target, message: True
        world.submit(world.nodes[0], pay([genesis_coin(0)]))
        self.assertEqual(world.nodes[0].finality.statistics().running_polls, 1)
        world.connect()
        self.assertEqual(world.nodes[0].finality.statistics().running_polls, 1)
        world.connect()
        self.assertEqual(world.nodes[0].finality.statistics().running_polls, 0)


class RoundTests(SynchronousTestCase):
    """Snowball polls with scripted answers."""

    def setUp(self) -> None:
        self.world = World(4)
        self.world.cut = lambda source, target, message: True
        self.node = self.world.nodes[0]
        self.txs = (pay([genesis_coin(0)]), pay([genesis_coin(0)], nonce=1))
        wtxids = tuple(tx.wtxid for tx in self.txs)
        query = Query(1, 0, wtxids, self.txs, False)
        self.world.receive(self.node, self.world.nodes[1], query)
        self.snowball = self.node.finality._parts.contests.open()[0].snowball

    def opinions(self, *preferred: Transaction | None) -> None:
        """Let the other members answer the running poll; None says unknown."""
        request = queries(self.node, want_vote=False)[-1][1].request
        for peer, tx in zip(self.world.nodes[1:], preferred, strict=True):
            if tx is None:
                item = TxAnswer(Code.UNKNOWN, b"")
            elif tx is self.txs[0]:
                item = TxAnswer(Code.VALID, b"")
            else:
                item = TxAnswer(Code.CONFLICT, tx.txid)
            self.world.receive(self.node, peer, Answer(request, (item,), None))

    def test_asks_the_sample_without_wanting_votes(self) -> None:
        asked = queries(self.node, want_vote=False)
        self.assertEqual(len(asked), 3)
        self.assertEqual(asked[0][1].wtxids, (self.txs[0].wtxid,))

    def test_bodies_are_sent_once(self) -> None:
        mine, _ = self.txs
        self.opinions(mine, mine, None)
        sent = {peer: m.bodies for peer, m in queries(self.node, want_vote=False)[-3:]}
        names = [node.name for node in self.world.nodes[1:]]
        self.assertEqual([len(sent[name]) for name in names], [0, 0, 1])

    def test_success_goes_on_at_once(self) -> None:
        mine, _ = self.txs
        for number in range(1, 20):
            self.opinions(mine, mine, mine)
            self.assertEqual(self.snowball.confidence, number)
        self.opinions(mine, mine, mine)
        self.assertEqual(self.snowball.accepted, mine.txid)
        self.assertFalse(self.node.finality._parts.rounds.running)

    def test_failure_resets_and_pauses(self) -> None:
        mine, rival = self.txs
        self.opinions(mine, mine, mine)
        self.opinions(mine, rival, rival)
        self.assertEqual(self.snowball.confidence, 0)
        self.assertFalse(self.node.finality._parts.rounds.running)
        asked = len(queries(self.node, want_vote=False))
        self.world.run(400)
        self.assertEqual(len(queries(self.node, want_vote=False)), asked + 3)

    def test_only_answers_that_were_missed_teach_to_wait_longer(self) -> None:
        mine, _ = self.txs
        context = self.node.finality._context
        usual_ms = context.params.answer_timeout_ms
        self.opinions(mine, mine, mine)  # two decide; the third finds the poll over, as usual
        self.assertEqual(context.patience_ms, usual_ms)
        request = queries(self.node, want_vote=False)[-1][1].request
        self.world.run(usual_ms + 10)
        late = Answer(request, (TxAnswer(Code.VALID, b""),), None)
        self.world.receive(self.node, self.world.nodes[1], late)
        self.assertEqual(context.patience_ms, 2 * usual_ms)

    def test_missing_answers_change_nothing(self) -> None:
        mine, rival = self.txs
        self.opinions(mine, mine, mine)
        self.opinions(mine, rival, None)
        self.assertEqual(self.snowball.confidence, 1)

    def test_preference_that_the_pool_has_evicted(self) -> None:
        mine, rival = self.txs
        entry = self.node.pool.entry(mine.txid)
        assert entry is not None
        self.node.pool._remove(entry)
        self.world.run(2_000)
        self.assertEqual(self.node.finality.statistics().contests, 0)
        self.world.run(3_000)
        self.assertEqual({m.wtxids for _, m in queries(self.node)}, {(rival.wtxid,)})

    def test_no_polls_while_catching_up(self) -> None:
        self.world.catch_up(self.node, True)
        self.world.run(1_000)
        asked = len(queries(self.node, want_vote=False))
        self.world.run(5_000)
        self.assertEqual(len(queries(self.node, want_vote=False)), asked)
        self.world.catch_up(self.node, False)
        self.world.run(1_000)
        self.assertGreater(len(queries(self.node, want_vote=False)), asked)

    def test_time_out_counts_as_missing(self) -> None:
        mine, _ = self.txs
        self.opinions(mine, mine, mine)
        self.world.run(200)
        self.assertEqual(self.snowball.confidence, 1)

    def test_answers_must_fit(self) -> None:
        request = queries(self.node, want_vote=False)[-1][1].request
        opinion = TxAnswer(Code.VALID, b"")
        peer = self.world.nodes[1]
        for answer in (
            Answer(request, (opinion,) * 2, None),
            Answer(request, (opinion,), VoteReply(b"\x00", bytes(64))),
        ):
            self.node.blames.clear()
            self.world.receive(self.node, peer, answer)
            self.assertEqual(len(self.node.blames), 1)
        self.node.blames.clear()
        self.world.receive(self.node, peer, Answer(request, (opinion,), None))
        self.world.receive(self.node, peer, Answer(request, (opinion,), None))
        self.assertEqual(len(self.node.blames), 1)

    def test_undecided_is_not_batched(self) -> None:
        plain = pay([genesis_coin(1)])
        self.world.submit(self.node, plain)
        self.world.run(5_000)
        names = [m.wtxids for _, m in queries(self.node)]
        self.assertTrue(names)
        self.assertEqual({name for wtxids in names for name in wtxids}, {plain.wtxid})

    def test_undecided_does_not_join_a_batch(self) -> None:
        batches = self.node.finality._parts.batches
        occupant, plain = pay([genesis_coin(1)]), pay([genesis_coin(2)])
        self.world.submit(self.node, occupant)
        batches.add(self.txs[0].txid, self.world.now_ms)
        self.world.submit(self.node, plain)
        self.node.sent.clear()
        self.world.carry_out(self.node, batches.flush(self.world.now_ms))
        self.assertEqual({m.wtxids for _, m in queries(self.node)}, {(plain.wtxid,)})

    def test_locked_conflict_needs_no_poll_after_a_restart(self) -> None:
        for txs in (self.txs, self.txs[::-1]):
            world = World(4)
            world.cut = lambda source, target, message: True
            node = world.nodes[0]
            for tx in txs:
                world.submit(node, tx)
                world.receive(node, world.nodes[1], Query(1, 0, (tx.wtxid,), (tx,), False))
            world.crash(node)
            node.sent.clear()
            world.restart(node)
            self.assertEqual(len(node.pool), 2)
            self.assertEqual(node.finality._parts.contests.open(), ())
            world.run(5_000)
            self.assertEqual(queries(node, want_vote=False), [])
            entry = node.pool.entry(txs[0].txid)
            assert entry is not None
            self.assertTrue(entry.locked)


class LinkTests(SynchronousTestCase):
    def test_a_proved_key_that_is_no_members_is_none(self) -> None:
        world = World(4, followers=1)
        node, stranger = world.nodes[0], world.nodes[4]
        world.deliver(node, LinkUp(stranger.name, key_of("stranger").public))
        tx = pay([genesis_coin(0)])
        world.receive(node, stranger, Query(1, 0, (tx.wtxid,), (tx,), True))
        self.assertEqual([blame.peer for blame in node.blames], [stranger.name])
        self.assertEqual(len(node.pool), 0)

    def test_waiting_payments_are_polled_when_a_member_is_linked(self) -> None:
        world = World(3)
        for node in world.nodes[1:]:
            world.crash(node)
        tx = pay([genesis_coin(0)])
        world.submit(world.nodes[0], tx)
        world.run(12_000)
        world.restart(world.nodes[1])
        world.run(400)
        self.assertTrue(world.nodes[0].is_final(tx.txid))
