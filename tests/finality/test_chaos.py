"""Honest members under loss, partitions, crashes and double spends: nothing final is ever undone.

Blocks come about as in consensus: a proposal is archived when a quorum of members that are up has
no objection to it; members that prepared one keep its bans whether it is archived or not.
"""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.finality.world import Node, World, genesis_coin, output_of, pay
from timecoin import params
from timecoin.codec import Wire
from timecoin.finality.events import Connected, Status
from timecoin.ledger.block import Block
from timecoin.ledger.transaction import Transaction
from timecoin.mempool.entry import Admission
from timecoin.quorum.tally import has_quorum


class Chaos:
    """One world and a dice."""

    def __init__(self, members: int, seed: int) -> None:
        self.rng = Random(seed)
        self.world = World(members, seed=seed, coins=30)
        self.txs: list[Transaction] = []
        self.blocks: list[tuple[Block, tuple[Transaction, ...]]] = []
        self.lonely: bytes | None = None
        self.final: dict[bytes, Transaction] = {}
        self.resolved = 0
        self.world.cut = self.is_cut

    def is_cut(self, source: bytes, target: bytes, message: Wire) -> bool:
        return self.lonely in (source, target)

    def up(self) -> list[Node]:
        return [node for node in self.world.nodes if node.up]

    def step(self) -> None:
        rng = self.rng
        dice = rng.randrange(100)
        if dice < 35:
            self.spend()
        elif dice < 70:
            self.world.run(rng.choice((3, 15, 40, 150, 600, 2_500)))
        elif dice < 85:
            self.block()
        elif dice < 89:
            self.world.loss_percent = rng.choice((0, 0, 10, 40))
        elif dice < 93:
            self.lonely = rng.choice((None, None, rng.choice(self.world.nodes).name))
        elif len(self.up()) == len(self.world.nodes):
            self.world.crash(rng.choice(self.world.nodes))
        else:
            self.restart()
        self.observe()

    def spend(self) -> None:
        """A payment of a coin or of an earlier payment's output: often a second one of it."""
        rng = self.rng
        node = rng.choice(self.up())
        coins = [genesis_coin(rng.randrange(30)) for _ in range(rng.choice((1, 1, 2)))]
        if self.txs and rng.random() < 0.3:
            coins[0] = output_of(rng.choice(self.txs))
        tx = pay(dict(coins).items(), nonce=rng.randrange(3))
        if self.world.submit(node, tx).admission is Admission.ACCEPTED:
            self.txs.append(tx)
        if rng.random() < 0.3:  # the same coins again, at another node, at once
            rival = pay(dict(coins).items(), nonce=7)
            other = rng.choice(self.up())
            if self.world.submit(other, rival).admission is Admission.ACCEPTED:
                self.txs.append(rival)

    def block(self) -> bool:
        """One proposal, prepared by those who have nothing against it, perhaps archived."""
        up = self.up()
        proposer = self.rng.choice(up)
        now = self.world.now_ms
        found = proposer.finality.contents(now, 1_000, params.MAX_BLOCK_BYTES)
        entries = tuple(sorted(found.transactions, key=lambda tx: tx.txid))
        height = proposer.chain.tip_height + 1
        block = self.world.draft(entries, found.resolutions, height)
        for tx in entries:
            for node in up:
                node.chain.bodies[tx.wtxid] = tx  # bodies are fetched before a block is judged
        prepared = []
        for node in up:
            if self.lonely in (node.name, proposer.name) and node is not proposer:
                continue
            if node.finality.objection(block, height - 1, now, now) is None:
                self.world.carry_out(node, node.finality.ban_for(block, entries))
                prepared.append(node)
        signers = [node.key.public for node in prepared if node.key is not None]
        if not has_quorum(signers, self.world.snapshots):
            return False
        self.resolved += len(found.resolutions)
        self.blocks.append((block, entries))
        for node in up:
            self.connect(node)
        return True

    def connect(self, node: Node) -> None:
        """Archive at ``node`` what it lacks."""
        while node.chain.tip_height < len(self.blocks):
            block, entries = self.blocks[node.chain.tip_height]
            node.chain.connect(block, entries)
            self.world.deliver(node, Connected(block, entries))

    def restart(self) -> None:
        for node in self.world.nodes:
            if not node.up:
                self.world.restart(node)
                self.connect(node)

    def heal(self) -> None:
        """Everything works again, for as long as a stuck pair may take."""
        self.world.loss_percent, self.lonely = 0, None
        self.restart()
        for _ in range(14):
            self.world.run(5_000)
            self.block()
            self.observe()

    def observe(self) -> None:
        """Whatever any node calls final stays so and is the only spend of its inputs."""
        for node in self.up():
            for tx in self.txs:
                if Status.FINAL in node.statuses(tx.txid):
                    self.final[tx.txid] = tx
            node_final = [tx for tx in self.final.values() if node.statuses(tx.txid)]
            for tx in node_final:
                assert Status.REJECTED not in node.statuses(tx.txid), "a final payment was rejected"
            assert not node.emergencies(), "two conflicting certificates of honest members"
        spent: dict[bytes, bytes] = {}
        for tx in self.final.values():
            for point in tx.outpoints:
                assert spent.setdefault(point, tx.txid) == tx.txid, "two final spends"


class ChaosTests(SynchronousTestCase):
    def run_chaos(self, members: int, seed: int, steps: int) -> Chaos:
        chaos = Chaos(members, seed)
        for _ in range(steps):
            chaos.step()
        chaos.heal()
        for tx in chaos.final.values():
            for node in chaos.world.nodes:
                self.assertIsNotNone(node.chain.archived(tx.txid), f"seed {seed}: final was lost")
        for node in chaos.world.nodes:
            self.assertEqual(len(node.pool), 0, f"seed {seed}: {node.name!r} still waits")
            # A lock may be left on a coin whose only known spend has become void.
            for _, lock in node.finality._parts.voter.locks():
                self.assertIsNotNone(node.finality._parts.intake.void(lock.txid), f"seed {seed}")
        return chaos

    def test_three_to_seven_members(self) -> None:
        resolved = final = 0
        for members in (3, 4, 5, 7):
            for seed in range(3):
                chaos = self.run_chaos(members, seed, 120)
                resolved += chaos.resolved
                final += len(chaos.final)
        # The dice must have rolled what this is about.
        self.assertGreater(resolved, 5)
        self.assertGreater(final, 150)
