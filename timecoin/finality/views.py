"""What others may read of a finality machine: statuses, proofs, figures."""

from __future__ import annotations

from dataclasses import dataclass

from timecoin.finality.certificates import Held
from timecoin.finality.events import Status, TxStatus
from timecoin.finality.parts import Parts
from timecoin.finality.proof import FinalityProof, make_proof
from timecoin.finality.receipt_tally import holders_in
from timecoin.quorum.bitmap import has_leaf
from timecoin.quorum.certificate import ReceiptSet
from timecoin.quorum.snapshots import voter_index
from timecoin.quorum.tally import quorum_weight, weight_of


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of this moment, and counts since this node started."""

    running_polls: int
    queued: int
    contests: int
    locks: int
    certificates: int
    early: int
    scheduled: int
    emergencies: int
    polls_begun: int
    transactions_polled: int
    votes_cast: int
    votes_received: int
    finalized: int
    rejected: int
    p50_ms: int | None
    p95_ms: int | None


def get_statistics(parts: Parts) -> Statistics:
    """Figures for RPC and metrics; latencies are those of the last 1,000 final transactions."""
    return Statistics(
        running_polls=parts.batches.running,
        queued=parts.batches.queued,
        contests=len(parts.contests),
        locks=len(parts.voter.locks()),
        certificates=len(parts.certificates),
        early=len(parts.early),
        scheduled=len(parts.context.schedule),
        emergencies=len(parts.emergencies),
        polls_begun=parts.batches.polls_begun,
        transactions_polled=parts.batches.transactions_polled,
        votes_cast=parts.voter.votes_cast,
        votes_received=parts.batches.votes_received,
        finalized=parts.history.finalized,
        rejected=parts.history.rejected,
        p50_ms=parts.history.percentile_ms(50),
        p95_ms=parts.history.percentile_ms(95),
    )


def get_status(parts: Parts, txid: bytes, now_ms: int) -> TxStatus | None:
    """What this node knows of ``txid``; None when it never heard of it, or long ago."""
    times = parts.history.times(txid)
    final_ms = None if times is None else times[1]
    height = parts.context.chain.archived(txid)
    if height is not None:
        seen_ms = None if times is None else times[0]
        return TxStatus(
            Status.ARCHIVED, first_seen_ms=seen_ms, final_ms=final_ms, archived_height=height
        )
    entry = parts.context.pool.entry(txid)
    seen_ms = None if entry is None else entry.received_ms
    held = _best(parts, txid)
    if held is not None:
        return _certified(parts, txid, held, now_ms, seen_ms, final_ms)
    if entry is not None:
        if entry.locked:
            return TxStatus(Status.LOCALLY_ACCEPTED, first_seen_ms=seen_ms)
        polled = parts.batches.is_polled(txid) or txid in parts.contests
        return TxStatus(Status.SAMPLING if polled else Status.SEEN, first_seen_ms=seen_ms)
    if parts.context.pool.is_orphan(txid):
        return TxStatus(Status.ORPHAN)
    ended = parts.history.ended(txid)
    return None if ended is None else TxStatus(ended)


def count_final(parts: Parts) -> int:
    """The transactions of the pool whose status is final; certificates alone are walked."""
    final = {txid for held in parts.certificates.all() for txid in held.final}
    return sum(txid in parts.context.pool for txid in final)


def _best(parts: Parts, txid: bytes) -> Held | None:
    """A certificate of ``txid``: one with a receipt quorum if there is any."""
    named = [held for held in parts.certificates.named(txid) if txid in held.waiting]
    return next((held for held in named if txid in held.final), next(iter(named), None))


def _certified(
    parts: Parts,
    txid: bytes,
    held: Held,
    now_ms: int,
    seen_ms: int | None,
    final_ms: int | None,
) -> TxStatus:
    context = parts.context
    if txid not in context.pool:
        status = Status.CERTIFIED_BODY_MISSING
    elif parts.certificates.is_final(txid):
        status = Status.FINAL
    elif context.is_stale(now_ms):
        status = Status.CERTIFIED_STALE
    else:
        status = Status.CERTIFIED
    certificate = held.certificate
    voters = voter_index(context.committee.vote_snapshots(certificate.anchor) or ())
    leaf = held.waiting[txid]
    accepting = [
        voters[vote.voter]
        for vote in certificate.votes
        if vote.voter < len(voters) and not has_leaf(vote.reject_bitmap, leaf)
    ]
    snapshot = context.chain.active_set(certificate.anchor)
    receipts = max((_weight(parts, leaf, item) for item in held.finals.values()), default=0)
    current = context.chain.active_set(context.chain.tip_height)
    if current is not None:
        tip = context.chain.tip_height
        receipts = max(receipts, parts.tally.weight(held, txid, tip, current))
    return TxStatus(
        status,
        anchor_height=certificate.anchor,
        weight=0 if snapshot is None else weight_of(accepting, snapshot),
        receipts_weight=receipts,
        quorum=0 if snapshot is None else quorum_weight(snapshot.total_weight),
        first_seen_ms=seen_ms,
        final_ms=final_ms,
    )


def _weight(parts: Parts, leaf: int, receipts: ReceiptSet) -> int:
    """Weight of a receipt quorum for ``leaf``, in its tip's own snapshot."""
    snapshots = parts.context.committee.receipt_snapshots(receipts.tip)
    own = parts.context.chain.active_set(receipts.tip)
    if snapshots is None or own is None:
        return 0
    return weight_of(holders_in(receipts, leaf, snapshots), own)


def get_proof(parts: Parts, txid: bytes) -> FinalityProof | None:
    """The proof that ``txid``, not yet archived, is final; None when it is not."""
    tx = parts.context.pool.get(txid)
    held = _best(parts, txid)
    if tx is None or held is None or txid not in held.final:
        return None
    leaf = held.waiting[txid]
    receipts = max(held.finals.values(), key=lambda item: _weight(parts, leaf, item))
    return make_proof(tx, held.certificate, receipts)
