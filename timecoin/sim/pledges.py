"""What honest members have signed, each new signature held against those before (PROTOCOL 5, 6).

Two signatures of one member never contradict each other: one proposal, prepare and precommit for a
height and round, votes and receipts for one spend of an output only. A precommit follows a prepare
quorum of its round, and whoever has precommitted a block prepares another only after a later one.
Nobody prepares a fresh proposal against his own receipt, nor receipts against such a prepare.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from timecoin.ledger.transaction import Outpoint
from timecoin.quorum.statement import NIL, VoteKind
from timecoin.sim.broken import InvariantBroken
from timecoin.sim.history import History
from timecoin.sim.proofs import two_thirds

KEPT_HEIGHTS = 100
"""Signatures on blocks that far below the newest one are forgotten."""
KEPT_SPENT = 10_000
"""Spent outputs whose votes and receipts are kept."""

Place = tuple[int, VoteKind]


@dataclass(frozen=True, slots=True)
class Offered:
    """What a fresh proposal would archive: spenders by output, and which it resolves for."""

    spends: dict[Outpoint, bytes]
    resolved: frozenset[bytes]


class _Height:
    """Signatures on the blocks of one height."""

    def __init__(self) -> None:
        self.offers: dict[tuple[int, bytes], Offered] = {}
        self.bans: dict[bytes, dict[Outpoint, bytes]] = {}
        self.signed: dict[bytes, dict[Place, bytes]] = {}
        self.prepares: dict[tuple[int, bytes], set[bytes]] = {}


class Pledges:
    """Raises :class:`InvariantBroken` at the first signature that contradicts an earlier one."""

    def __init__(self, history: History, faulty: frozenset[bytes]) -> None:
        self._history = history
        self._faulty = faulty
        self._heights: dict[int, _Height] = {}
        self._votes: dict[Outpoint, dict[bytes, bytes]] = {}
        self._receipts: dict[Outpoint, dict[bytes, bytes]] = {}
        self._spent: deque[Outpoint] = deque()

    def on_fresh(self, height: int, round_: int, block_hash: bytes, offered: Offered) -> None:
        """A fresh proposal was seen."""
        self._heights.setdefault(height, _Height()).offers[round_, block_hash] = offered

    def on_block(
        self, voter: bytes, height: int, round_: int, kind: VoteKind, block_hash: bytes
    ) -> None:
        """``voter`` has signed a proposal, prepare or precommit; the signature is good."""
        at = self._heights.setdefault(height, _Height())
        if kind == VoteKind.PREPARE:
            at.prepares.setdefault((round_, block_hash), set()).add(voter)
        if voter in self._faulty:
            return
        where = f"{voter.hex()} at height {height}, round {round_}, {kind.name.lower()}"
        signed = at.signed.setdefault(voter, {})
        known = signed.setdefault((round_, kind), block_hash)
        if known != block_hash:
            raise InvariantBroken(f"never two votes: {where}")
        if block_hash == NIL:
            return
        if kind == VoteKind.PRECOMMIT and not self._is_prepared(height, round_, block_hash, voter):
            raise InvariantBroken(f"precommits follow prepares: {where}")
        if kind == VoteKind.PREPARE:
            locked_round, locked = _lock(signed, round_)
            if locked not in (NIL, block_hash) and not any(
                self._is_prepared(height, between, block_hash, voter)
                for between in range(locked_round, round_)
            ):
                raise InvariantBroken(f"locks hold: {where}, locked in round {locked_round}")
            offered = at.offers.get((round_, block_hash))
            if offered is not None:
                self._prepared(at, voter, offered, where)

    def _prepared(self, at: _Height, voter: bytes, offered: Offered, where: str) -> None:
        """``voter`` prepares a fresh proposal: what it has receipted, and what it rules out now."""
        for point, txid in offered.spends.items():
            receipted = self._receipts.get(point, {}).get(voter)
            if receipted not in (None, txid):
                raise InvariantBroken(f"receipts bind: {where}, against {txid.hex()}")
            if txid in offered.resolved:
                at.bans.setdefault(voter, {})[point] = txid

    def _is_prepared(self, height: int, round_: int, block_hash: bytes, voter: bytes) -> bool:
        """Whether a prepare quorum has been seen; ``voter`` may not have told its own prepare."""
        snapshots = self._history.active_sets(range(height - 2, height))
        signers = self._heights[height].prepares.get((round_, block_hash), set())
        return snapshots is not None and two_thirds({*signers, voter}, snapshots)

    def on_vote(self, voter: bytes, txid: bytes, points: Iterable[Outpoint]) -> None:
        """``voter`` has voted for ``txid``, which spends ``points``."""
        self._once(self._votes, voter, txid, points, "never two votes")

    def on_receipt(self, voter: bytes, tip: int, txid: bytes, points: Sequence[Outpoint]) -> None:
        """``voter`` has receipted ``txid``, which spends ``points``, when it was at ``tip``."""
        at = self._heights.get(tip + 1)
        bans = {} if at is None else at.bans.get(voter, {})
        for point in points:
            first = voter not in self._receipts.get(point, {})
            if first and bans.get(point, txid) != txid:
                raise InvariantBroken(
                    f"resolutions bind: {voter.hex()} receipts {txid.hex()} at tip {tip}"
                )
        self._once(self._receipts, voter, txid, points, "never two receipts")

    def _once(
        self,
        given: dict[Outpoint, dict[bytes, bytes]],
        voter: bytes,
        txid: bytes,
        points: Iterable[Outpoint],
        promise: str,
    ) -> None:
        if voter in self._faulty:
            return
        for point in points:
            known = given.setdefault(point, {}).setdefault(voter, txid)
            if known != txid:
                raise InvariantBroken(
                    f"{promise}: {voter.hex()} for {known.hex()} and {txid.hex()}"
                )

    def connected(self, height: int, spent: Iterable[Outpoint]) -> None:
        """History has reached ``height``, whose block has ``spent`` these outputs."""
        self._heights.pop(height - KEPT_HEIGHTS, None)
        self._spent.extend(spent)
        while len(self._spent) > KEPT_SPENT:
            old = self._spent.popleft()
            self._votes.pop(old, None)
            self._receipts.pop(old, None)


def _lock(signed: dict[Place, bytes], before: int) -> tuple[int, bytes]:
    """Round and block of the last precommit for a block in a round before ``before``."""
    return max(_locks(signed, before), default=(-1, NIL))


def _locks(signed: dict[Place, bytes], before: int) -> Iterator[tuple[int, bytes]]:
    for (round_, kind), block_hash in signed.items():
        if kind == VoteKind.PRECOMMIT and round_ < before and block_hash != NIL:
            yield round_, block_hash
