"""Hundreds of slots of one chain whose masternodes stake, join, leave, fail and come back.

No network: whoever is up and honest signs, as it would after an agreement; the lottery decides who
proposes, and the chain's own rules judge everything, in a second chain too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from tests.chain.masternodes import StakedNet
from tests.chain.net import FEE, SLOT_MS, TIME, Contents
from timecoin import params
from timecoin.chain.commit import Chain
from timecoin.codec import encode
from timecoin.consensus.ports import FindBody
from timecoin.consensus.sortition import alpha, eligible, priority
from timecoin.crypto import vrf
from timecoin.crypto.keys import SigningKey
from timecoin.crypto.merkle import merkle_root
from timecoin.ledger.block import Block
from timecoin.ledger.rewards import block_reward
from timecoin.ledger.transaction import Outpoint, Transaction, outpoint
from timecoin.masternodes.active_set import ActiveSet, Tier
from timecoin.masternodes.changes import Removal, sign_join
from timecoin.quorum.bitmap import make_bitmap
from timecoin.quorum.certificate import (
    BatchCertificate,
    BatchVote,
    BlockCertificate,
    BlockSignature,
)
from timecoin.quorum.snapshots import block_snapshots, certificate_snapshots, voter_index
from timecoin.quorum.statement import precommit_statement, vote_statement

TIER_UNITS = (1_000 * TIME, 1_000 * TIME, 1_000 * TIME, 10_000 * TIME, 100_000 * TIME)
"""What masternodes stake, in turn: three Bronze, a Silver, a Gold."""


@dataclass
class Figures:
    """What a run counts."""

    blocks: int = 0
    payments: int = 0
    joins: int = 0
    exits: int = 0
    sizes: list[int] = field(default_factory=list)
    produced: Counter[str] = field(default_factory=Counter)
    """Blocks by tier of their producer."""
    expected: dict[str, float] = field(default_factory=dict)
    """What the weights promise."""

    def chi_squared(self) -> tuple[float, int]:
        """The statistic over tiers that were due 5 blocks or more, and its degrees of freedom."""
        due = {tier: value for tier, value in self.expected.items() if value >= 5}
        rest = sum(value for value in self.expected.values()) - sum(due.values())
        found = sum((self.produced[tier] - value) ** 2 / value for tier, value in due.items())
        others = self.blocks - sum(self.produced[tier] for tier in due)
        if rest >= 5:
            return found + (others - rest) ** 2 / rest, len(due)
        return found, len(due) - 1


class MembershipRun:
    """``masternodes`` beside three founders, whose weights expire at ``expiry_height``."""

    def __init__(self, seed: int, masternodes: int, expiry_height: int, audit_every: int) -> None:
        self.rng = Random(f"membership/{seed}")
        self.net = StakedNet(
            owners=masternodes,
            allocation=101_000 * TIME,
            salt=f"{seed}/",
            expiry_height=expiry_height,
        )
        self.chain: Chain = self.net.chain()
        self.replica: Chain = self.net.chain()
        self.figures = Figures()
        self.down: frozenset[bytes] = frozenset()
        self._audit_every = audit_every
        self._stakes: dict[int, Outpoint] = {}
        self._per_slot = max(1, masternodes // 50)
        """Stakes and payments of a slot."""
        self._batch: tuple[tuple[Transaction, ...], tuple[BatchCertificate, ...]] = ((), ())

    # one slot

    def step(self, change_every: int) -> None:
        """One slot: a change now and then, a payment, a block by whoever wins the lottery."""
        number = self.chain.tip_height
        if number % 10 == 0:
            self.down = self._fifth()
        contents = self._contents(number % change_every == 0)
        producer, proof, slot = self._lottery()
        timestamp_ms = slot * SLOT_MS + 500
        checked = self.chain.assemble(contents, slot, 0, producer, proof, timestamp_ms)
        block = checked.block
        if self.replica.check(block, self._find(contents)) != checked:
            raise AssertionError("two nodes see two blocks")
        certificate = self._precommits(block)
        before = self._active()
        self.replica.commit(self.replica.check(block, self._find(contents)), certificate)
        self.chain.commit(checked, certificate)
        self._count(block, before, contents)
        if self.chain.supply != self.replica.supply or number % self._audit_every == 0:
            self._audit()

    def _active(self) -> ActiveSet:
        return self.net.active(self.chain)

    def _fifth(self) -> frozenset[bytes]:
        """Members with at most a fifth of the weight, none of them a leaver of late."""
        active = self._active()
        members = list(active.staked)
        self.rng.shuffle(members)
        weight, found = 0, []
        for member in members:
            if 5 * (weight + member.weight) <= active.total_weight:
                weight += member.weight
                found.append(member.pubkey)
        return frozenset(found)

    def _signers(self, snapshots: tuple[ActiveSet, ...]) -> list[tuple[int, SigningKey]]:
        """Who signs: all voters but those that are down, and just under a third that are faulty.

        The faulty ones are silent here: that costs a quorum the most.
        """
        silent: set[bytes] = set()
        limits = [(snapshot.total_weight - 1) // 3 for snapshot in snapshots]
        order = sorted(voter_index(snapshots), key=lambda pubkey: (pubkey not in self.down, pubkey))
        for pubkey in order:
            left = [
                limit - snapshot.weights.get(pubkey, 0)
                for limit, snapshot in zip(limits, snapshots, strict=True)
            ]
            if min(left) >= 0:
                limits = left
                silent.add(pubkey)
        return [
            (index, self.net.by_pubkey[pubkey])
            for index, pubkey in enumerate(voter_index(snapshots))
            if pubkey not in silent
        ]

    def _lottery(self) -> tuple[bytes, bytes, int]:
        """Producer, proof and slot: the lowest priority among those that are up."""
        slot = self.chain.tip.slot + 1
        seed = alpha(self.net.genesis.chain_id, self.chain.tip.seed, slot)
        members = [
            member
            for member in eligible(self._active(), self.chain.tip_height + 1)
            if member.pubkey not in self.down
        ]
        ranked = []
        total = sum(member.weight for member in members)
        for member in members:
            proof = vrf.prove(self.net.by_pubkey[member.pubkey].seed, seed)
            place = priority(vrf.proof_to_hash(proof), member.weight)
            ranked.append((place, member.pubkey, proof, member.tier))
            name = Tier(member.tier).name
            share = member.weight / total
            self.figures.expected[name] = self.figures.expected.get(name, 0.0) + share
        _, producer, proof, tier = min(ranked)
        self.figures.produced[Tier(tier).name] += 1
        return producer, proof, slot

    def _precommits(self, block: Block) -> BlockCertificate:
        snapshots = block_snapshots(self.chain, block.height)
        assert snapshots is not None
        statement = precommit_statement(self.net.genesis.chain_id, block.height, 0, block.hash)
        signatures = tuple(
            BlockSignature(index, key.sign(statement)) for index, key in self._signers(snapshots)
        )
        return BlockCertificate(block.height, 0, block.hash, signatures)

    # contents

    def _contents(self, changing: bool) -> Contents:
        """The payments certified a block ago, and changes."""
        transactions, certificates = self._batch
        changes = self._changes() if changing else []
        self._batch = self._certified(self._stakes_or_payments(transactions))
        return Contents(transactions, certificates, (), tuple(encode(item) for item in changes))

    def _certified(
        self, transactions: tuple[Transaction, ...]
    ) -> tuple[tuple[Transaction, ...], tuple[BatchCertificate, ...]]:
        if not transactions:
            return (), ()
        anchor = self.chain.tip_height
        snapshots = certificate_snapshots(self.chain, anchor)
        assert snapshots is not None
        leaves = tuple(tx.txid for tx in transactions)
        bitmap = make_bitmap(len(leaves), ())
        statement = vote_statement(
            self.net.genesis.chain_id, anchor, merkle_root(leaves), len(leaves), bitmap
        )
        votes = tuple(
            BatchVote(index, bitmap, key.sign(statement)) for index, key in self._signers(snapshots)
        )
        return transactions, (BatchCertificate(anchor, leaves, votes),)

    def _stakes_or_payments(self, waiting: tuple[Transaction, ...]) -> tuple[Transaction, ...]:
        """Masternodes without a stake make one, a few in a slot; then owners pay around."""
        unstaked = [n for n in range(self.net.owners) if n not in self._stakes]
        found = []
        for number in unstaked[: self._per_slot]:
            tx = self.net.stake_tx(self.chain, number, TIER_UNITS[number % len(TIER_UNITS)])
            self._stakes[number] = outpoint(tx.txid, 0)
            found.append(tx)
        if found:
            return tuple(found)
        busy = {point for tx in waiting for point in tx.outpoints}
        number = self.rng.randrange(self.net.owners)
        coins = [coin for coin in self.net.coins(self.chain, number) if coin[0] not in busy]
        if not coins or coins[0][1].value <= 10 * FEE:
            return ()
        return (self.net.pay(coins[:1], number, fee=2 * FEE),)

    def _changes(self) -> list[object]:
        """Something for the set: joins of who is out, a leave, a removal."""
        found: list[object] = []
        active = self._active()
        for number, point in self._stakes.items():
            key = self.net.masternodes[number]
            if key.public in active.weights or self.chain.utxo(point) is None:
                continue
            if active.is_jailed(key.public, self.chain.tip_height + 1):
                continue
            found.append(self.net.join(self.chain, number, point))
        for key in self.net.keys:
            expiry = self.net.genesis.validators[0].expiry_height
            if key.public not in active.weights and self.chain.tip_height + 1 < expiry:
                attested = self.net.attest(self.chain, self.net.heartbeat(self.chain, key))
                found.append(sign_join(key, self.net.genesis.chain_id, attested))
        self.rng.shuffle(found)
        staked = [n for n in self._stakes if self.net.masternodes[n].public in active.weights]
        if staked and self.rng.randrange(3) == 0:
            number = self.rng.choice(staked)
            found.insert(0, self.net.leave(self.chain, number))
        elif self.down and self.rng.randrange(3) == 0:
            found.insert(0, Removal(self.rng.choice(sorted(self.down))))
        return found

    def _find(self, contents: Contents) -> FindBody:
        return {tx.wtxid: tx for tx in contents.transactions}.get

    # what must hold

    def _count(self, block: Block, before: ActiveSet, contents: Contents) -> None:
        figures, after = self.figures, self._active()
        figures.blocks += 1
        figures.payments += len(block.body.entries)
        old, new = set(before.by_pubkey), set(after.by_pubkey)
        figures.joins += len(new - old)
        figures.exits += len(old - new)
        figures.sizes.append(len(after.members))
        if len(block.body.entries) != len(contents.transactions):
            raise AssertionError(f"a certified payment was left out at height {block.height}")
        issued = block_reward(self.net.genesis.base_reward, len(before.staked))
        fees = 2 * FEE * len(block.body.entries)
        paid = sum(output.value for output in block.body.reward.outputs)
        if paid != issued + fees:
            raise AssertionError(f"{paid} units at height {block.height}, not {issued + fees}")
        _check_churn(before, after)

    def _audit(self) -> None:
        total = sum(utxo.value for _, utxo in self.chain.utxos())
        if not total == self.chain.supply == self.replica.supply:
            raise AssertionError(f"{total} units at height {self.chain.tip_height}")


def _check_churn(before: ActiveSet, after: ActiveSet) -> None:
    changed: dict[bytes, int] = {}
    for active, other in ((before, after), (after, before)):
        for member in active.staked:
            if other.by_pubkey.get(member.pubkey) != member:
                changed[member.pubkey] = changed.get(member.pubkey, 0) + member.weight
    if len(changed) > 1 and sum(changed.values()) * params.CHURN_DIVISOR > before.total_weight:
        raise AssertionError("more churn than a block may have")
