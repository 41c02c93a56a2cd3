"""Reads the stores of stopped nodes and looks for a member that signed two things at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from timecoin.codec import decode
from timecoin.consensus.journal import TABLE, read_rows
from timecoin.consensus.messages import BlockVote
from timecoin.crypto.keys import verify
from timecoin.finality.certificates import CERTIFICATES
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.transaction import Outpoint, decode_transaction
from timecoin.masternodes.active_set import ActiveSet
from timecoin.node.preflight import STORE_DIRECTORY
from timecoin.params import MAX_FRAME_BYTES
from timecoin.quorum.bitmap import has_leaf
from timecoin.quorum.certificate import BatchCertificate, BlockCertificate
from timecoin.quorum.snapshots import block_snapshots, certificate_snapshots, voter_index
from timecoin.quorum.statement import VoteKind, precommit_statement, prepare_statement
from timecoin.store.chainstore import EngineChainStore
from timecoin.store.rocks import RocksEngine

POOL = "pool"

Position = tuple[int, int, int]
"""Height, round and kind of a vote."""


@dataclass(frozen=True, slots=True)
class StoppedNode:
    """What the store of one node says."""

    pubkey: bytes
    votes: dict[Position, BlockVote]
    """What it signed itself, by its journal."""
    quorums: list[tuple[VoteKind, BlockCertificate]]
    batches: list[BatchCertificate]
    spends: dict[bytes, tuple[Outpoint, ...]]
    """Outpoints by txid, of what is archived or waits."""
    sets: list[ActiveSet]
    """The active sets by height."""

    def active_set(self, height: int) -> ActiveSet | None:
        return self.sets[height] if height < len(self.sets) else None


def read_node(datadir: Path, pubkey: bytes) -> StoppedNode:
    """Open the store in ``datadir``, read it, close it."""
    engine = RocksEngine(datadir / STORE_DIRECTORY)
    try:
        journal = read_rows((TABLE, key, value) for key, value in engine.scan(TABLE))
        node = StoppedNode(
            pubkey,
            {(vote.height, vote.round, vote.kind): vote for vote in journal.votes},
            [] if journal.quorum is None else [(VoteKind.PREPARE, journal.quorum)],
            [
                decode(raw, BatchCertificate, MAX_FRAME_BYTES)
                for _, raw in engine.scan(CERTIFICATES)
            ],
            {},
            [],
        )
        _read_chain(node, EngineChainStore(engine))
        for txid, raw in engine.scan(POOL):
            node.spends[txid] = decode_transaction(raw).outpoints
        return node
    finally:
        engine.close()


def _read_chain(node: StoppedNode, chain: EngineChainStore) -> None:
    height, _ = chain.tip() or (0, b"")
    for number in range(height + 1):
        active = chain.active_set(number)
        assert active is not None
        node.sets.append(active)
    for number in range(1, height + 1):
        block, certificate = chain.block(number), chain.certificate(number)
        assert block is not None and certificate is not None
        node.quorums.append((VoteKind.PRECOMMIT, certificate))
        for raw in block.body.certificates:
            node.batches.append(decode(raw, BatchCertificate, MAX_FRAME_BYTES))
        for entry in block.body.entries:
            tx = chain.transaction(entry.wtxid)
            assert tx is not None
            node.spends[entry.txid] = tx.outpoints


def double_signatures(nodes: Sequence[StoppedNode], genesis: Genesis) -> list[str]:
    """Every pair of signatures that exclude each other, and every one missing in its journal.

    Empty is good.
    """
    return [*_block_votes(nodes, genesis), *_transaction_votes(nodes)]


def _block_votes(nodes: Sequence[StoppedNode], genesis: Genesis) -> list[str]:
    """Quorums anywhere against the signer's own journal."""
    history = _longest(nodes)
    journal_of = {node.pubkey: node.votes for node in nodes}
    found = []
    for node in nodes:
        for position, vote in node.votes.items():
            if vote.voter != node.pubkey or vote.kind == VoteKind.PROPOSAL:
                continue
            if not _is_signed(genesis, VoteKind(vote.kind), vote):
                found.append(f"{node.pubkey.hex()} holds a wrong signature of its own: {position}")
        for kind, quorum in node.quorums:
            voters = _voters(block_snapshots(history, quorum.height))
            for item in quorum.signatures:
                signer = voters[item.voter]
                own = journal_of[signer].get((quorum.height, quorum.round, kind))
                where = f"{signer.hex()} height {quorum.height} round {quorum.round} {kind.name}"
                if own is None:
                    found.append(f"{where}: signed, but its journal does not know")
                elif own.block_hash != quorum.block_hash:
                    found.append(f"{where}: signed two blocks")
    return sorted(set(found))


def _is_signed(genesis: Genesis, kind: VoteKind, vote: BlockVote) -> bool:
    make = prepare_statement if kind is VoteKind.PREPARE else precommit_statement
    statement = make(genesis.chain_id, vote.height, vote.round, vote.block_hash)
    return verify(vote.voter, statement, vote.signature)


def _longest(nodes: Sequence[StoppedNode]) -> StoppedNode:
    """The node that knows most of history: all agree on it."""
    return max(nodes, key=lambda node: len(node.sets))


def _voters(snapshots: tuple[ActiveSet, ...] | None) -> tuple[bytes, ...]:
    assert snapshots is not None
    return voter_index(snapshots)


def _transaction_votes(nodes: Sequence[StoppedNode]) -> list[str]:
    """Votes in certificates anywhere: nobody accepted two spends of one outpoint."""
    history = _longest(nodes)
    spends = {txid: points for node in nodes for txid, points in node.spends.items()}
    accepted: dict[tuple[bytes, Outpoint], bytes] = {}
    found = []
    for node in nodes:
        for batch in node.batches:
            voters = _voters(certificate_snapshots(history, batch.anchor))
            for vote in batch.votes:
                signer = voters[vote.voter]
                for leaf, txid in enumerate(batch.leaves):
                    if has_leaf(vote.reject_bitmap, leaf):
                        continue
                    for point in spends.get(txid, ()):
                        other = accepted.setdefault((signer, point), txid)
                        if other != txid:
                            found.append(
                                f"{signer.hex()} accepted {other.hex()} and {txid.hex()}, "
                                f"which both spend {point.hex()}"
                            )
    return sorted(set(found))
