"""The journal's rows of this node's last life, put back into memory.

Rows are deleted after the block that ends them, in another write. So some may be left over: those
are recognised by the chain, which is the authority, and deleted now.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from timecoin import params
from timecoin.codec import decode, encode
from timecoin.finality.certificates import CERTIFICATES, FINALS, certificate_key, final_key
from timecoin.finality.emergency import EMERGENCIES, EmergencyRow
from timecoin.finality.messages import VoteReply
from timecoin.finality.parts import Parts
from timecoin.finality.poll import VoteTally
from timecoin.finality.receipts import BANS, RECEIPTS, Receipted, split_ban_key
from timecoin.finality.votes import LOCKS, POOL, VOTES, Lock, split_vote_key
from timecoin.ledger.transaction import Transaction
from timecoin.machine import Effect, Record
from timecoin.mempool.entry import Admission
from timecoin.quorum.certificate import BatchCertificate, ReceiptSet
from timecoin.quorum.snapshots import voter_index

_MAX_ROW_BYTES = 2 * params.MAX_FRAME_BYTES


@dataclass(slots=True)
class Rows:
    """The rows by table, decoded; ``CodecError`` for bytes that this version did not write."""

    bodies: dict[bytes, Transaction] = field(default_factory=dict)
    locks: dict[bytes, Lock] = field(default_factory=dict)
    votes: dict[bytes, VoteReply] = field(default_factory=dict)
    certificates: dict[bytes, BatchCertificate] = field(default_factory=dict)
    finals: dict[bytes, list[ReceiptSet]] = field(default_factory=dict)
    receipts: dict[bytes, Receipted] = field(default_factory=dict)
    bans: list[bytes] = field(default_factory=list)
    emergencies: dict[bytes, EmergencyRow] = field(default_factory=dict)

    @classmethod
    def read(cls, rows: tuple[tuple[str, bytes, bytes], ...]) -> Rows:
        """Sort ``rows`` (table, key, value); rows of other machines are passed over."""
        found = cls()
        for table, key, value in rows:
            if table == POOL:
                found.bodies[key] = decode(value, Transaction, _MAX_ROW_BYTES)
            elif table == LOCKS:
                found.locks[key] = decode(value, Lock, _MAX_ROW_BYTES)
            elif table == VOTES:
                found.votes[key] = decode(value, VoteReply, _MAX_ROW_BYTES)
            elif table == CERTIFICATES:
                found.certificates[key] = decode(value, BatchCertificate, _MAX_ROW_BYTES)
            elif table == FINALS:
                receipts = decode(value, ReceiptSet, _MAX_ROW_BYTES)
                batch = certificate_key(receipts.anchor, receipts.root)
                found.finals.setdefault(batch, []).append(receipts)
            elif table == RECEIPTS:
                found.receipts[key] = decode(value, Receipted, _MAX_ROW_BYTES)
            elif table == BANS:
                found.bans.append(key)
            elif table == EMERGENCIES:
                found.emergencies[key] = decode(value, EmergencyRow, _MAX_ROW_BYTES)
        return found


def parents_first(bodies: dict[bytes, Transaction]) -> list[Transaction]:
    """``bodies`` in an order in which each comes after those that it spends from."""
    order: list[Transaction] = []
    placed: dict[bytes, None] = {}
    for start in bodies:
        stack = [(start, False)]
        while stack:
            txid, expanded = stack.pop()
            if txid in placed or txid not in bodies:
                continue
            if expanded:
                placed[txid] = None
                order.append(bodies[txid])
                continue
            stack.append((txid, True))
            stack.extend((item.prev_txid, False) for item in bodies[txid].inputs)
    return order


def restore(parts: Parts, rows: tuple[tuple[str, bytes, bytes], ...], now_ms: int) -> list[Effect]:
    """Take up the last life where it ended; returns the deletion of rows that are over."""
    read = Rows.read(rows)
    tip = parts.context.chain.tip_height
    waiting = {
        txid: tx for txid, tx in read.bodies.items() if parts.context.chain.archived(txid) is None
    }
    effects: list[Effect] = [
        Record(POOL, txid, None, durable=False) for txid in read.bodies if txid not in waiting
    ]
    for point, lock in read.locks.items():
        if parts.context.chain.utxo(point) is None and point[:32] not in waiting:
            effects.append(Record(LOCKS, point, None, durable=False))
        else:
            parts.voter.restore_lock(point, lock)
    for key, vote in read.votes.items():
        anchor, root = split_vote_key(key)
        if anchor < tip - 1:
            effects.append(Record(VOTES, key, None, durable=False))
        else:
            parts.voter.restore_vote(anchor, root, vote)
    for key in read.bans:
        height, point, winner = split_ban_key(key)
        if height <= tip:
            effects.append(Record(BANS, key, None, durable=False))
        else:
            parts.book.restore_ban(height, point, winner)
    for key, row in read.emergencies.items():
        parts.emergencies.restore(key, row)
    effects += _restore_certificates(parts, read, now_ms)
    effects += _restore_bodies(parts, waiting, now_ms)
    for point, receipted in read.receipts.items():
        if parts.certificates.covers(receipted.txid):
            parts.book.restore_receipt(point, receipted)
        else:
            effects.append(Record(RECEIPTS, point, None, durable=False))
    for held in parts.certificates.all():
        parts.custody.restored(held, now_ms)
    parts.intake.take_stored()
    return effects + parts.settlement.new_tip(now_ms)


def _restore_certificates(parts: Parts, read: Rows, now_ms: int) -> list[Effect]:
    """Their signatures were checked before they were written; leaves are counted again."""
    effects: list[Effect] = []
    for key, certificate in read.certificates.items():
        snapshots = parts.context.committee.vote_snapshots(certificate.anchor)
        waiting: tuple[int, ...] = ()
        if snapshots is not None:
            voters = voter_index(snapshots)
            tally = VoteTally(snapshots, certificate.leaf_count)
            for vote in certificate.votes:
                tally.add(voters[vote.voter], vote.reject_bitmap)
            waiting = tuple(
                leaf
                for leaf, txid in enumerate(certificate.leaves)
                if tally.is_certified(leaf) and parts.context.chain.archived(txid) is None
            )
        if not waiting:
            effects.append(Record(CERTIFICATES, key, None, durable=False))
            continue
        held = parts.certificates.put(certificate, waiting, encode(certificate), now_ms)
        for receipts in read.finals.pop(key, ()):
            parts.settlement.restore(held, receipts)
    for left_over in read.finals.values():
        effects += [Record(FINALS, final_key(item), None, durable=False) for item in left_over]
    return effects


def _restore_bodies(parts: Parts, waiting: dict[bytes, Transaction], now_ms: int) -> list[Effect]:
    """Locked ones first: rows of evicted bodies may be more than the pool takes."""
    effects: list[Effect] = []
    ordered = sorted(waiting, key=lambda txid: not parts.voter.is_locked_for(txid))
    for tx in parents_first({txid: waiting[txid] for txid in ordered}):
        verdict, found = parts.intake.offer(tx, now_ms)
        effects += found
        locked = parts.voter.is_locked_for(tx.txid)
        if verdict.admission is Admission.ACCEPTED:
            if locked:
                parts.context.pool.lock(tx.txid)
                parts.contests.pin(tx.txid)
            continue
        if verdict.rule == "bad-txns-inputs-missingorspent":
            effects += parts.custody.close(tx.txid)
        if locked:
            parts.intake.restore_void(tx)
        else:
            effects.append(Record(POOL, tx.txid, None, durable=False))
    return effects
