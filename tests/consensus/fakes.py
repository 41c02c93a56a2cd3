"""Small stand-ins for the chain and the archive, with real keys, proofs and certificates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from timecoin.codec import Wire, encode
from timecoin.consensus.ports import Contents, FindBody, MissingBodies, Tip
from timecoin.consensus.sortition import SortitionError, check_candidate, next_seed
from timecoin.crypto import vrf
from timecoin.crypto.keys import SigningKey, VerifiedCache
from timecoin.ledger.block import Block, Body, Entry, Header, Resolution
from timecoin.ledger.genesis import Genesis, GenesisValidator
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.transaction import Transaction, TxInput, TxOutput
from timecoin.machine import Record
from timecoin.masternodes.active_set import ActiveSet, genesis_set
from timecoin.mempool.messages import GetTransactions
from timecoin.params import ConsensusTiming, Network
from timecoin.quorum.certificate import (
    BatchCertificate,
    BlockCertificate,
    certificate_name,
    check_precommit_certificate,
)
from timecoin.quorum.snapshots import block_snapshots

TIMING = ConsensusTiming(300, 2_000, 500)
SLOT_MS = 10_000
GENESIS_MS = 1_700_000_000_000
verify = VerifiedCache(bytes(32), 200_000).check
"""Shared by all nodes of all tests: they check the same signatures again and again."""


def signing_key(index: int) -> SigningKey:
    """The voting key of validator ``index``."""
    return SigningKey(bytes([1, index]) + bytes(30))


def vrf_seed(index: int) -> bytes:
    """The VRF seed of validator ``index``."""
    return bytes([2, index]) + bytes(30)


def make_genesis(weights: list[int]) -> Genesis:
    """A devnet of validators 0 .. with these weights."""
    validators = tuple(
        GenesisValidator(
            pubkey=signing_key(index).public,
            vrf_pubkey=vrf.vrf_public(vrf_seed(index)),
            weight=weight,
            payout_hash=bytes([index]) * 20,
            expiry_height=1_000_000,
        )
        for index, weight in enumerate(weights)
    )
    return Genesis(1, int(Network.DEVNET), GENESIS_MS, SLOT_MS, 100, validators, ())


def payment(number: int, valid: bool = True) -> Transaction:
    """A transaction of its own; one that is not ``valid`` breaks an objective rule."""
    source = TxInput(number.to_bytes(32, "big"), 0, 0xFFFFFFFF)
    return Transaction(1, (source,), (TxOutput(1, b"ok" if valid else b"bad"),), 0, ((),))


@dataclass(frozen=True)
class FakeChecked:
    """What :class:`FakeChain` hands over for a block that keeps its rules."""

    block: Block
    transactions: tuple[Transaction, ...]


@dataclass(frozen=True)
class FakeContents:
    """What :class:`FakeArchive` offers a proposer."""

    transactions: tuple[Transaction, ...]
    certificates: tuple[BatchCertificate, ...] = ()
    resolutions: tuple[Resolution, ...] = ()
    avs_changes: tuple[bytes, ...] = ()
    evidence: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class FakeObjection:
    """A refusal."""

    reason: str
    messages: tuple[Wire, ...] = ()


class FakeMembership:
    """Proposes ``offered``, and refuses every block that carries one of ``refused``."""

    def __init__(self) -> None:
        self.offered: tuple[bytes, ...] = ()
        self.refused: tuple[bytes, ...] = ()

    def changes(self, now_ms: int) -> tuple[bytes, ...]:
        return self.offered

    def objection(self, block: Block, judged_ms: int, now_ms: int) -> FakeObjection | None:
        if any(change in self.refused for change in block.body.avs_changes):
            return FakeObjection("not as seen here", (GetTransactions(()),))
        return None


class FakeChain:
    """History that checks headers, producers and that bodies are there; the AVS never changes."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self.members = genesis_set(genesis)
        self.blocks: list[Block] = []
        self.certificates: list[BlockCertificate] = []
        self.fork_height: int | None = None

    @property
    def tip(self) -> Tip:
        genesis = self.genesis
        if not self.blocks:
            slot = genesis.slot_at(genesis.time_ms)
            return Tip(0, genesis.hash, slot, slot * SLOT_MS, genesis.time_ms, genesis.hash)
        header = self.blocks[-1].header
        return Tip(
            header.height,
            header.hash,
            header.slot,
            header.slot_time,
            header.timestamp_ms,
            header.seed,
        )

    def active_set(self, height: int) -> ActiveSet | None:
        return self.members if 0 <= height <= len(self.blocks) else None

    def check(self, block: Block, find: FindBody) -> FakeChecked:
        header, tip = block.header, self.tip
        self._refuse_on_fork()
        try:
            beta = self._beta(header.slot, header.producer, header.vrf_proof)
        except SortitionError as error:
            raise RuleBroken("bad-producer", str(error)) from error
        expected = (
            self.genesis.chain_id,
            tip.height + 1,
            tip.hash,
            header.slot * SLOT_MS,
            next_seed(tip.seed, beta),
        )
        named = (
            header.chain_id,
            header.height,
            header.prev_hash,
            header.slot_time,
            header.seed,
        )
        if named != expected or header.slot <= tip.slot:
            raise RuleBroken("bad-header", "a field is not what it must be")
        missing = [e.wtxid for e in block.body.entries if find(e.wtxid) is None]
        if missing:
            raise MissingBodies(tuple(missing))
        bodies = [find(entry.wtxid) for entry in block.body.entries]
        transactions = tuple(body for body in bodies if body is not None)
        if any(tx.outputs[0].lock_script == b"bad" for tx in transactions):
            raise RuleBroken("bad-txns", "a transaction is invalid")
        return FakeChecked(block, transactions)

    def assemble(
        self,
        contents: Contents,
        slot: int,
        round_: int,
        producer: bytes,
        vrf_proof: bytes,
        timestamp_ms: int,
    ) -> FakeChecked:
        self._refuse_on_fork()
        transactions = tuple(sorted(contents.transactions, key=lambda tx: tx.txid))
        height = self.tip.height + 1
        source = TxInput(bytes(32), height, 0xFFFFFFFF)
        body = Body(
            reward=Transaction(1, (source,), (TxOutput(1, b"reward"),), 0, ((),)),
            entries=tuple(Entry(tx.txid, tx.wtxid) for tx in transactions),
            certificates=tuple(map(encode, contents.certificates)),
            resolutions=contents.resolutions,
            avs_changes=contents.avs_changes,
            evidence=contents.evidence,
        )
        header = Header(
            version=1,
            chain_id=self.genesis.chain_id,
            height=height,
            slot=slot,
            slot_time=slot * SLOT_MS,
            prev_hash=self.tip.hash,
            producer=producer,
            round=round_,
            vrf_proof=vrf_proof,
            seed=next_seed(self.tip.seed, self._beta(slot, producer, vrf_proof)),
            timestamp_ms=timestamp_ms,
            entries_root=body.entries_root,
            avs_root=self.members.root,
            utxo_root=bytes(32),
            body_root=body.root,
        )
        return FakeChecked(Block(header, body), transactions)

    def commit(self, block: Block, certificate: BlockCertificate) -> None:
        """Append ``block`` after checking that ``certificate`` finalizes it."""
        snapshots = block_snapshots(self, block.height)
        assert snapshots is not None and block.height == self.tip.height + 1
        assert (certificate.height, certificate.block_hash) == (block.height, block.hash)
        check_precommit_certificate(certificate, snapshots, self.genesis.chain_id, verify)
        self.blocks.append(block)
        self.certificates.append(certificate)

    def _refuse_on_fork(self) -> None:
        if self.fork_height is not None:
            raise RuleBroken("forked", "two blocks are certified at one height")

    def _beta(self, slot: int, producer: bytes, vrf_proof: bytes) -> bytes:
        return check_candidate(
            self.genesis.chain_id,
            self.members,
            self.tip.height + 1,
            self.tip.seed,
            slot,
            producer,
            vrf_proof,
        )


@dataclass
class FakeAccusations:
    """Offers ``found``."""

    found: tuple[bytes, ...] = ()

    def evidence(self) -> tuple[bytes, ...]:
        return self.found


@dataclass
class FakeArchive:
    """Offers ``pool``; objects as ``object_to`` says; remembers bans and when it was asked."""

    pool: list[Transaction] = field(default_factory=list)
    resolutions: tuple[Resolution, ...] = ()
    object_to: Callable[[Block], FakeObjection | None] = lambda block: None
    asked: list[tuple[int, int, int]] = field(default_factory=list)
    banned: list[bytes] = field(default_factory=list)
    waiting: tuple[BatchCertificate, ...] = ()

    def contents(self, now_ms: int, max_entries: int, max_bytes: int) -> FakeContents:
        return FakeContents(tuple(self.pool[:max_entries]), self.waiting, self.resolutions)

    def certificate(self, name: bytes) -> bytes | None:
        held = (encode(certificate) for certificate in self.waiting)
        return next((data for data in held if certificate_name(data) == name), None)

    def objection(
        self, block: Block, parent_height: int, judged_ms: int, now_ms: int
    ) -> FakeObjection | None:
        self.asked.append((parent_height, judged_ms, now_ms))
        return self.object_to(block)

    def ban_for(self, block: Block, transactions: Sequence[Transaction]) -> tuple[Record, ...]:
        assert [tx.txid for tx in transactions] == [entry.txid for entry in block.body.entries]
        self.banned.append(block.hash)
        return (Record("bans", block.hash, b"\x01"),)
