"""What waits for a block, and this node's word on a fresh proposal (PROTOCOL 5, 6).

Consensus calls this through its ``Archive`` port. The rules here are subjective: they rest on what
this node holds, and since when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from timecoin import params
from timecoin.codec import Wire, encode
from timecoin.finality.certificates import Certificates, Held
from timecoin.finality.context import Context
from timecoin.finality.custody import Custody
from timecoin.finality.emergency import Emergencies
from timecoin.finality.intake import Intake
from timecoin.finality.receipts import ReceiptBook
from timecoin.finality.resolve import StuckPairs
from timecoin.ledger.block import Block, Resolution
from timecoin.ledger.transaction import Transaction
from timecoin.machine import Record
from timecoin.quorum.certificate import BatchCertificate

ENTRY_BYTES = 80
"""At least what an entry adds to an encoded block, the framing of its lists included."""
RESOLUTION_BYTES = 160
SLACK_BYTES = 4_096
"""A block this close to its limit counts as full: proposers estimate sizes from above."""
MAX_RESOLUTIONS = 64
"""Resolutions that one proposer puts into a block, so that they never crowd out payments."""
MAX_MISSING = 16
"""Certificates that a refuser sends to the proposer."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a proposer archives, most urgent first."""

    transactions: tuple[Transaction, ...]
    certificates: tuple[BatchCertificate, ...]
    resolutions: tuple[Resolution, ...]


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a fresh proposal must not be prepared, and what its proposer seems to lack."""

    reason: str
    messages: tuple[Wire, ...]


@dataclass(slots=True)
class _Selection:
    """A block in the making."""

    entries_left: int
    bytes_left: int
    transactions: dict[bytes, Transaction]
    certificates: dict[bytes, Held]

    def add(self, tx: Transaction, held: Held | None, extra_bytes: int = 0) -> bool:
        """Take ``tx`` in, with its certificate, if both fit."""
        size = ENTRY_BYTES + extra_bytes
        if held is not None and held.key not in self.certificates:
            size += held.size + 8
        if self.entries_left < 1 or self.bytes_left < size:
            return False
        self.entries_left -= 1
        self.bytes_left -= size
        self.transactions[tx.txid] = tx
        if held is not None:
            self.certificates[held.key] = held
        return True


class BlockArchive:
    """The certified transactions that wait, as proposer and as voter."""

    def __init__(
        self,
        context: Context,
        certificates: Certificates,
        intake: Intake,
        book: ReceiptBook,
        emergencies: Emergencies,
        stuck: StuckPairs,
        custody: Custody,
    ) -> None:
        self._context = context
        self._certificates = certificates
        self._intake = intake
        self._book = book
        self._emergencies = emergencies
        self._stuck = stuck
        self._custody = custody
        network = params.Network(int.from_bytes(context.chain_id[:4], "little"))
        self._hold_ms = params.CONSENSUS_TIMING[network].inclusion_hold_ms
        rate = params.ENTRIES_PER_SLOT_SECOND[network]
        self._max_entries = rate * context.chain.slot_ms // 1_000

    # proposing

    def contents(self, now_ms: int, max_entries: int, max_bytes: int) -> Contents:
        """What this node would archive: resolutions, then receipted, then oldest anchors."""
        block = _Selection(max_entries, max_bytes, {}, {})
        resolutions: list[Resolution] = []
        for pair in self._stuck.find():
            if len(resolutions) == MAX_RESOLUTIONS:
                break
            if not self._add_ancestors(block, pair.winner):
                continue
            if block.add(pair.winner, None, RESOLUTION_BYTES + len(pair.loser.encoded)):
                resolutions.append(pair.resolution())
        waiting = [(held, txid) for held in self._certificates.all() for txid in held.waiting]
        waiting.sort(key=lambda item: self._urgency(*item))
        for _, txid in waiting:
            tx = self._context.pool.get(txid)
            if tx is not None and self._add_ancestors(block, tx):
                self._add(block, tx)
        return Contents(
            tuple(block.transactions.values()),
            tuple(held.certificate for held in block.certificates.values()),
            tuple(resolutions),
        )

    def _urgency(self, held: Held, txid: bytes) -> tuple[bool, int]:
        return self._book.first_tip(txid) is None, held.certificate.anchor

    def _is_archivable(self, txid: bytes) -> bool:
        """Certified, body here, and no certificate known against it unless receipts decided."""
        if self._intake.certified_ms(txid) is None:
            return False
        return not self._emergencies.opponents(txid) or self._certificates.is_final(txid)

    def _add(self, block: _Selection, tx: Transaction) -> bool:
        if tx.txid in block.transactions:
            return True
        named = self._certificates.named(tx.txid)
        held = next((item for item in named if item.key in block.certificates), None)
        held = held or next(iter(named), None)
        return held is not None and self._is_archivable(tx.txid) and block.add(tx, held)

    def _add_ancestors(self, block: _Selection, tx: Transaction) -> bool:
        """Take in the waiting ancestors of ``tx``, parents first; False when one cannot be."""
        pool = self._context.pool
        stack = [(tx, False)]
        while stack:
            item, expanded = stack.pop()
            if expanded:
                if item is not tx and not self._add(block, item):
                    return False
                continue
            if item is not tx and item.txid in block.transactions:
                continue
            stack.append((item, True))
            parents = [pool.get(point.prev_txid) for point in item.inputs]
            stack.extend((parent, False) for parent in parents if parent is not None)
        return True

    # judging

    def objection(
        self, block: Block, parent_height: int, judged_ms: int, now_ms: int
    ) -> Objection | None:
        """Whether this node must not prepare ``block``, a fresh proposal on its tip.

        ``judged_ms``: the earlier of the round's start and the proposal's arrival, Unix ms.
        """
        entries: dict[bytes, Transaction] = {}
        for entry in block.body.entries:
            tx = self._context.pool.get(entry.txid) or self._context.find(entry.wtxid)
            if tx is None:
                return Objection(f"no body of entry {entry.txid.hex()}", ())
            entries[entry.txid] = tx
        for tx in entries.values():
            rival = self._book.receipted_conflict(tx)
            if rival is not None:
                reason = f"{tx.txid.hex()} conflicts with the receipted {rival.hex()}"
                return Objection(reason, self._proof([rival]))
        for resolution in block.body.resolutions:
            rival = self._certified_rival(resolution, entries.get(resolution.winner))
            if rival is not None:
                reason = f"resolves against the certified {rival.hex()}"
                return Objection(reason, self._proof([rival]))
        return self._inclusion(block, entries, parent_height, judged_ms)

    def _certified_rival(self, resolution: Resolution, winner: Transaction | None) -> bytes | None:
        """The certificate held here that ``resolution`` would overrule."""
        if self._certificates.covers(resolution.loser.txid):
            return resolution.loser.txid
        return None if winner is None else self._stuck.certified_conflict(winner)

    def _inclusion(
        self,
        block: Block,
        entries: Mapping[bytes, Transaction],
        parent_height: int,
        judged_ms: int,
    ) -> Objection | None:
        """Does ``block`` leave out what it must not?"""
        spent = {point for tx in entries.values() for point in tx.outpoints}
        room = params.MAX_BLOCK_BYTES - len(encode(block)) - SLACK_BYTES
        bodies_bytes = sum(len(tx.encoded) for tx in entries.values())
        crowded = len(entries) >= self._max_entries
        left_out: list[bytes] = []
        for held in self._certificates.all():
            full = crowded or room < ENTRY_BYTES + held.size
            for txid in held.waiting:
                if txid in entries or not self._was_due(txid, parent_height, judged_ms):
                    continue
                tx = self._context.pool.get(txid)
                if tx is None or not self._could_enter(tx, entries, spent):
                    continue
                heavy = bodies_bytes + len(tx.encoded) > params.MAX_BLOCK_BODIES_BYTES
                if (full or heavy) and not self._goes_before(txid, entries, parent_height):
                    continue
                left_out.append(txid)
        if not left_out:
            return None
        reason = f"leaves out {len(left_out)} certified, first {left_out[0].hex()}"
        return Objection(reason, self._proof(left_out))

    def _was_due(self, txid: bytes, parent_height: int, judged_ms: int) -> bool:
        since_ms = self._intake.certified_ms(txid)
        if since_ms is None:
            return False
        return since_ms + self._hold_ms <= judged_ms or self._was_receipted(txid, parent_height)

    def _was_receipted(self, txid: bytes, parent_height: int) -> bool:
        first_tip = self._book.first_tip(txid)
        return first_tip is not None and first_tip < parent_height

    def _could_enter(
        self, tx: Transaction, entries: Mapping[bytes, Transaction], spent: set[bytes]
    ) -> bool:
        """Archivable in this very block: parents in chain or block, no conflict in sight.

        The chain is asked, not the pool, which hears of a new block a moment later.
        """
        chain = self._context.chain
        return (
            self._is_archivable(tx.txid)
            and not any(point in spent for point in tx.outpoints)
            and all(
                item.prev_txid in entries or chain.utxo(item.outpoint) is not None
                for item in tx.inputs
            )
        )

    def _goes_before(
        self, txid: bytes, entries: Mapping[bytes, Transaction], parent_height: int
    ) -> bool:
        """Whether even a full block had to take ``txid``: receipted ones come first."""
        return self._was_receipted(txid, parent_height) and any(
            self._certificates.covers(other) and self._book.first_tip(other) is None
            for other in entries
        )

    def _proof(self, txids: list[bytes]) -> tuple[Wire, ...]:
        """The certificates of ``txids``, with bodies, for a proposer that seems to lack them."""
        held = {item.key: item for txid in txids for item in self._certificates.named(txid)[:1]}
        return tuple(self._custody.with_bodies(item) for item in tuple(held.values())[:MAX_MISSING])

    def certificate(self, name: bytes) -> bytes | None:
        """The certificate that waits here and whose encoding has the hash ``name``, encoded."""
        held = self._certificates.of_name(name)
        return None if held is None else encode(held.certificate)

    def ban_for(self, block: Block, transactions: Sequence[Transaction]) -> tuple[Record, ...]:
        """This node prepares ``block``: no receipt against its resolutions until that height is
        decided. The records belong into the write that makes the prepare durable.

        ``transactions``: the bodies of its entries, which may be nowhere else by now: a crash
        leaves only those of the journal.
        """
        bodies = {tx.txid: tx for tx in transactions}
        records: list[Record] = []
        for resolution in block.body.resolutions:
            records += self._book.ban(block.height, bodies[resolution.winner])
        return tuple(records)
