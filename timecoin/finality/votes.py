"""The voter: when this member votes, and what it must remember of it (PROTOCOL 5, Vote).

A lock (outpoint -> txid) dies only when some spend of the outpoint is archived, never by time.
Locks and vote are durable in one write before the vote leaves, and the same question gets the
same bytes again, after a restart too. So no two votes of this member accept conflicting
transactions, whatever Snowball, its peers or a crash do.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Sequence
from dataclasses import dataclass

from timecoin.codec import U64, Bytes32, Wire, encode
from timecoin.crypto.keys import SigningKey
from timecoin.crypto.merkle import merkle_root
from timecoin.finality.contests import Contests
from timecoin.finality.events import Status, StatusChanged
from timecoin.finality.messages import Code, TxAnswer, VoteReply
from timecoin.finality.parameters import MAX_LEAVES_PER_ANCHOR, MAX_LOCKS, MAX_VOTES_PER_ANCHOR
from timecoin.finality.ports import FinalityChain
from timecoin.ledger.transaction import Outpoint, Transaction
from timecoin.machine import Effect, Emit, Record
from timecoin.mempool.pool import Pool
from timecoin.quorum.bitmap import make_bitmap
from timecoin.quorum.statement import vote_statement

LOCKS = "locks"
"""outpoint -> Lock."""
VOTES = "votes"
"""anchor (u64, big-endian) | root -> VoteReply."""
POOL = "pool"
"""txid -> transaction."""


class Lock(Wire, frozen=True):
    """An outpoint is promised to ``txid`` since this node's tip was ``height``."""

    txid: Bytes32
    height: U64


@dataclass(slots=True)
class _Given:
    """Votes at one anchor: by root, and what each poller was given an accepting vote for."""

    by_root: dict[bytes, VoteReply]
    leaves: dict[tuple[bytes, bytes], None]


class Voter:
    """Lock table and votes of this node."""

    def __init__(
        self, chain_id: bytes, chain: FinalityChain, pool: Pool, contests: Contests
    ) -> None:
        self._chain_id = chain_id
        self._chain = chain
        self._pool = pool
        self._contests = contests
        self._locks: dict[Outpoint, Lock] = {}
        self._given: dict[int, _Given] = {}
        self._lock_count: dict[bytes, int] = {}
        """Locks held for each txid: whose bodies must be kept."""
        self.votes_cast = 0

    # reading

    def locks(self) -> ItemsView[Outpoint, Lock]:
        """All locks by outpoint."""
        return self._locks.items()

    def lock_of(self, point: Outpoint) -> Lock | None:
        """The lock on ``point``."""
        return self._locks.get(point)

    def is_locked_for(self, txid: bytes) -> bool:
        """Whether any lock is held for ``txid``."""
        return txid in self._lock_count

    def is_votable(self, tx: Transaction) -> bool:
        """Whether this member may vote for ``tx``, which must be in the pool (so it is valid).

        Only of a stake that it spends a block may have thought better since.
        """
        if self._pool.is_frozen(tx.txid):
            return False
        locks = [self._locks.get(point) for point in tx.outpoints]
        if any(lock is not None and lock.txid != tx.txid for lock in locks):
            return False
        if all(lock is not None for lock in locks):
            return True
        return not self._pool.conflicts(tx.txid) or self._contests.is_accepted(tx.txid)

    def opinion(self, tx: Transaction) -> TxAnswer:
        """What this member says of ``tx``, which must be in the pool."""
        for point in tx.outpoints:
            lock = self._locks.get(point)
            if lock is not None and lock.txid != tx.txid:
                return TxAnswer(Code.CONFLICT, lock.txid)
        if self._pool.is_frozen(tx.txid):
            return TxAnswer(Code.INVALID, b"stake-frozen")
        if not self.is_locked_for(tx.txid):
            preferred = self._contests.preference(tx.txid)
            if preferred != tx.txid:
                return TxAnswer(Code.CONFLICT, preferred)
        return TxAnswer(Code.VALID, b"")

    # voting

    def vote(
        self,
        key: SigningKey,
        poller: bytes,
        anchor: int,
        batch: Sequence[Transaction],
        now_ms: int,
    ) -> tuple[VoteReply | None, list[Effect]]:
        """The vote on ``batch`` for the member ``poller``, with what makes it durable.

        None when every leaf would be rejected: nothing is said then that would bind this member.
        A poller gets at most one accepting vote for a transaction and anchor; this node as its
        own poller is not limited.
        """
        root = merkle_root([tx.txid for tx in batch])
        given = self._given.get(anchor)
        if given is None:
            given = self._given[anchor] = _Given({}, {})
        if (stored := given.by_root.get(root)) is not None:
            return stored, []
        if len(given.by_root) >= MAX_VOTES_PER_ANCHOR or len(given.leaves) > MAX_LEAVES_PER_ANCHOR:
            return None, []
        effects: list[Effect] = []
        rejected: list[int] = []
        for leaf, tx in enumerate(batch):
            spent = poller != key.public and (poller, tx.txid) in given.leaves
            room = len(self._locks) + len(tx.inputs) <= MAX_LOCKS
            if spent or not room or tx.txid not in self._pool or not self.is_votable(tx):
                rejected.append(leaf)
                continue
            given.leaves[poller, tx.txid] = None
            effects += self._lock(tx, now_ms)
        if len(rejected) == len(batch):
            return None, []
        bitmap = make_bitmap(len(batch), rejected)
        statement = vote_statement(self._chain_id, anchor, root, len(batch), bitmap)
        reply = given.by_root[root] = VoteReply(bitmap, key.sign(statement))
        effects.append(Record(VOTES, _vote_key(anchor, root), encode(reply)))
        self.votes_cast += 1
        return reply, effects

    def _lock(self, tx: Transaction, now_ms: int) -> list[Effect]:
        lock = Lock(tx.txid, self._chain.tip_height)
        fresh = [point for point in tx.outpoints if point not in self._locks]
        pooled = self._pool.get(tx.txid)
        if not fresh or pooled is None:
            return []
        # The pool has verified its own body; a poller's may have the same txid and bad witnesses.
        effects: list[Effect] = [Record(POOL, tx.txid, pooled.encoded)]
        for point in fresh:
            self.restore_lock(point, lock)
            effects.append(Record(LOCKS, point, encode(lock)))
        self._pool.lock(tx.txid)
        self._contests.pin(tx.txid)
        effects.append(Emit(StatusChanged(tx.txid, Status.LOCALLY_ACCEPTED, now_ms)))
        return effects

    # blocks and restarts

    def connected(self, tip: int, gone: Iterable[Outpoint]) -> list[Effect]:
        """A block was archived: locks on outpoints that are ``gone`` (spent by it, or made by
        what it has made void) die, and votes that nobody may ask for any more (their anchor is
        neither the tip nor the block before it) are forgotten."""
        effects: list[Effect] = []
        for point in gone:
            if point in self._locks:
                self._unlock(point)
                effects.append(Record(LOCKS, point, None, durable=False))
        for anchor in [anchor for anchor in self._given if anchor < tip - 1]:
            for root in self._given.pop(anchor).by_root:
                effects.append(Record(VOTES, _vote_key(anchor, root), None, durable=False))
        return effects

    def restore_lock(self, point: Outpoint, lock: Lock) -> None:
        """Hold ``lock``, which is (about to be) on disk."""
        self._locks[point] = lock
        self._lock_count[lock.txid] = self._lock_count.get(lock.txid, 0) + 1

    def restore_vote(self, anchor: int, root: bytes, reply: VoteReply) -> None:
        """Remember a vote of an earlier life."""
        self._given.setdefault(anchor, _Given({}, {})).by_root[root] = reply

    def _unlock(self, point: Outpoint) -> None:
        lock = self._locks.pop(point)
        self._lock_count[lock.txid] -= 1
        if not self._lock_count[lock.txid]:
            del self._lock_count[lock.txid]


def _vote_key(anchor: int, root: bytes) -> bytes:
    return anchor.to_bytes(8, "big") + root


def split_vote_key(key: bytes) -> tuple[int, bytes]:
    """Anchor and root of a row of :data:`VOTES`."""
    return int.from_bytes(key[:8], "big"), key[8:]
