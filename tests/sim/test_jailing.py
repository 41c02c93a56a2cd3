"""A member signs twice, its proof reaches a block, it is out for a while, and then it is back."""

from __future__ import annotations

import msgspec

from tests.sim.test_membership import SLOT_S, MembershipCase
from timecoin import params
from timecoin.codec import decode
from timecoin.consensus.messages import BlockVote, Proposal
from timecoin.ledger.block import Block
from timecoin.machine import Received
from timecoin.node.catalog import KIND_OF, MESSAGES
from timecoin.quorum.evidence import decode_evidence
from timecoin.quorum.statement import VoteKind, prepare_statement, proposal_statement
from timecoin.sim.world import SimNode, World

JAIL_BLOCKS = 6
CULPRIT = 3


class JailingTests(MembershipCase):
    def setUp(self) -> None:
        self.patch(params, "JAIL_BLOCKS", dict.fromkeys(params.JAIL_BLOCKS, JAIL_BLOCKS))

    def begin(self, nodes: int, seed: int = 7, faulty: tuple[int, ...] = (CULPRIT,)) -> World:
        world = super().begin(nodes, seed, faulty)
        self.culprit: SimNode = world.nodes[CULPRIT]
        self.key = self.culprit.voting_key
        return world

    def hear(self, number: int, message: BlockVote | Proposal) -> None:
        """Node ``number`` hears ``message``, which the culprit has sent to nobody else."""
        node = self.world.nodes[number].running
        node.driver.deliver(node.consensus, Received(self.culprit.node_id, message))

    def prepare_something_else(self) -> None:
        """The culprit prepares a block that there is not, at the height that comes."""
        height, other = self.height(0) + 1, b"\x0e" * 32
        statement = prepare_statement(self.world.genesis.chain_id, height, 0, other)
        vote = BlockVote(
            int(VoteKind.PREPARE), height, 0, other, self.key.public, self.key.sign(statement)
        )
        self.hear(0, vote)

    def propose_something_else(self) -> None:
        """When the culprit proposes, node 0 gets another block of it first."""
        heard: list[int] = []

        def look(kind: int, payload: bytes) -> None:
            if kind != KIND_OF[Proposal] or heard:
                return
            proposal = decode(payload, Proposal, MESSAGES[kind].max_bytes)
            if proposal.proposer == self.key.public and proposal.valid_round == 0:
                heard.append(proposal.height)
                self.hear(0, self.twin_of(proposal))

        self.world.network.observers.append(look)
        for _ in range(40):
            if heard:
                return
            self.world.run(SLOT_S / 2)
        raise AssertionError("the culprit has had no turn")

    def twin_of(self, proposal: Proposal) -> Proposal:
        replace = msgspec.structs.replace
        header = proposal.block.header
        header = replace(header, timestamp_ms=header.timestamp_ms + 1)
        block = Block(header, proposal.block.body)
        statement = proposal_statement(
            self.world.genesis.chain_id,
            proposal.height,
            proposal.round,
            proposal.valid_round,
            proposal.slot,
            block.hash,
        )
        return replace(proposal, block=block, signature=self.key.sign(statement))

    def jailing_block(self) -> Block:
        """The one block with evidence."""
        chain = self.world.nodes[0].running.chain
        blocks = [chain.block(height) for height in range(1, chain.tip_height + 1)]
        (found,) = (block for block in blocks if block is not None and block.body.evidence)
        return found

    def serve_its_time(self, offence: str) -> None:
        """From here on: evidence in a block, out of the set, and back when the time is over."""
        world = self.world
        world.run(3 * SLOT_S)
        block = self.jailing_block()
        (evidence,) = map(decode_evidence, block.body.evidence)
        self.assertEqual((evidence.signer, evidence.offence), (self.key.public, offence))
        self.assertLessEqual(block.height - evidence.height, 2)
        until = block.height + JAIL_BLOCKS
        for node in world.nodes:
            chain = node.running.chain
            self.assertLess(chain.tip_height, until, "the test looks too late")
            active = chain.active_set(chain.tip_height)
            assert active is not None
            self.assertNotIn(self.key.public, active.weights)
            self.assertTrue(active.is_jailed(self.key.public, chain.tip_height + 1))
            self.assertEqual(node.running.evidence.held, ())
        txid = self.pay(0)
        world.run(2)
        self.assertIn(txid, world.final_txids())
        while self.height(0) < until + 3:
            world.run(SLOT_S)
        for node in world.nodes:
            chain = node.running.chain
            for height in range(block.height, until):
                active = chain.active_set(height)
                assert active is not None
                self.assertNotIn(self.key.public, active.weights)
            active = chain.active_set(chain.tip_height)
            assert active is not None
            self.assertIn(self.key.public, active.weights)
            self.assertEqual(active.total_weight, 400)
        self.assertEqual(self.jailing_block().height, block.height)
        world.run(2 * SLOT_S)
        self.invariants.check_end()

    def test_two_prepares(self) -> None:
        self.begin(4)
        self.prepare_something_else()
        self.serve_its_time("double-prepare")

    def test_two_proposals(self) -> None:
        self.begin(4)
        self.propose_something_else()
        self.serve_its_time("double-proposal")

    def test_the_evidence_outlives_everybody(self) -> None:
        """All nodes crash with the evidence on disk and in no block yet; it is not lost."""
        world = self.begin(4)
        self.prepare_something_else()
        for _ in range(200):
            if world.nodes[0].running.evidence.held:
                break
            world.run(0.1)
        held = world.nodes[0].running.evidence.held
        self.assertEqual([evidence.signer for evidence in held], [self.key.public])
        height = self.height(0)
        world.run(0.05)
        for node in world.nodes:
            node.kill()
        for node in world.nodes:
            node.start()
        self.assertEqual(self.height(0), height)
        self.serve_its_time("double-prepare")
