"""Members that vote for two conflicting transactions: who sees both votes has the evidence."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.finality import forge
from tests.finality.world import CHAIN_ID, Node, World, genesis_coin, pay
from timecoin.crypto.keys import verify
from timecoin.finality import parameters
from timecoin.finality.events import ConflictingVotesSeen
from timecoin.finality.messages import Answer, Certified, Code, Query, TxAnswer, VoteReply
from timecoin.ledger.transaction import Transaction
from timecoin.quorum.bitmap import make_bitmap
from timecoin.quorum.evidence import Evidence, check_evidence
from timecoin.quorum.statement import vote_statement


class DoubleVoteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(4)
        self.world.cut = lambda source, target, message: True
        self.node, self.culprit, *self.honest = self.world.nodes
        self.first, self.second = pay([genesis_coin(0)]), pay([genesis_coin(0)], nonce=1)

    def accused(self) -> list[bytes]:
        """Whom the evidence seen so far convicts, by the rules of evidence themselves."""
        found: list[Evidence] = [
            signal.evidence
            for signal in self.node.signals
            if isinstance(signal, ConflictingVotesSeen)
        ]
        return [
            check_evidence(evidence, self.node.chain, CHAIN_ID, verify).signer for evidence in found
        ]

    def key_of(self, node: Node) -> bytes:
        assert node.key is not None
        return node.key.public

    def poll(self, tx: Transaction) -> Query:
        """Let the node poll ``tx``; what it asks."""
        self.world.submit(self.node, tx)
        self.world.run(1_000)
        return next(m for _, m in self.node.sent if isinstance(m, Query) and m.want_vote)

    def answer(self, node: Node, query: Query, tx: Transaction, accepts: bool) -> None:
        """What ``node`` says to ``query``: a vote, or that it prefers the other one."""
        vote = None
        code, detail = Code.CONFLICT, self.second.txid
        if accepts:
            assert node.key is not None
            bitmap = make_bitmap(1, ())
            batch = forge.certificate(self.world, [tx], ())
            statement = vote_statement(CHAIN_ID, query.anchor, batch.root, 1, bitmap)
            vote = VoteReply(bitmap, node.key.sign(statement))
            code, detail = Code.VALID, b""
        answer = Answer(query.request, (TxAnswer(code, detail),), vote)
        self.world.receive(self.node, node, answer)

    def contradict(self) -> None:
        """The others' certificate for the other transaction, with the culprit's vote, comes."""
        signers = [self.culprit, *self.honest]
        certificate = forge.certificate(self.world, [self.second], signers)
        self.world.receive(self.node, self.honest[0], Certified(certificate, (self.second,)))

    def test_signers_of_both_certificates(self) -> None:
        nodes = self.world.nodes
        for tx, signers in ((self.first, nodes[:3]), (self.second, nodes[1:])):
            certificate = forge.certificate(self.world, [tx], signers)
            self.world.receive(self.node, self.culprit, Certified(certificate, (tx,)))
        self.assertEqual(sorted(self.accused()), sorted(map(self.key_of, nodes[1:3])))

    def test_a_vote_in_a_failed_poll_and_one_in_a_certificate(self) -> None:
        query = self.poll(self.first)
        self.answer(self.culprit, query, self.first, accepts=True)
        for node in self.honest:
            self.answer(node, query, self.first, accepts=False)
        self.world.run(20_000)
        self.world.next_slot()
        self.assertEqual(self.accused(), [])
        self.contradict()
        self.assertEqual(self.accused(), [self.key_of(self.culprit)])

    def test_the_certificate_comes_while_the_poll_runs(self) -> None:
        query = self.poll(self.first)
        self.contradict()
        self.answer(self.culprit, query, self.first, accepts=True)
        for node in self.honest:
            self.answer(node, query, self.first, accepts=False)
        self.world.run(20_000)
        self.world.next_slot()
        self.assertIn(self.key_of(self.culprit), self.accused())
        self.assertEqual(set(self.accused()), {self.key_of(self.culprit)})

    def test_who_rejects_one_of_them_is_no_culprit(self) -> None:
        other = pay([genesis_coin(1)])
        nodes = self.world.nodes
        batch = [self.first, other]
        one = forge.certificate(self.world, batch, nodes, rejects={self.culprit: [0]})
        two = forge.certificate(self.world, [self.second], nodes[1:])
        self.world.receive(self.node, self.culprit, Certified(one, tuple(batch)))
        self.world.receive(self.node, self.culprit, Certified(two, (self.second,)))
        self.assertEqual(sorted(self.accused()), sorted(map(self.key_of, self.honest)))

    def test_the_memory_of_failed_polls_is_bounded(self) -> None:
        for number in range(parameters.MAX_FAILED_POLLS + 40):
            self.world.submit(self.node, pay([genesis_coin(2 + number)]))
            self.world.run(200)
            if number % 30 == 29:
                self.world.next_slot()
        self.world.run(60_000)
        self.world.next_slot()
        remembered = self.node.finality._parts.batches._double_votes
        self.assertLessEqual(len(remembered), parameters.MAX_FAILED_POLLS)
        self.assertGreater(len(remembered), 0)
        names = set(remembered._named)
        named = {tx.txid for poll in remembered._failed.values() for tx in poll.batch}
        self.assertLessEqual(names, named)
