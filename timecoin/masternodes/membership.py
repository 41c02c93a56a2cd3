"""Which changes of the active set this node proposes, and which removals it refuses (PROTOCOL 4).

Consensus calls this through its ``Membership`` port. Joins and leaves are objective: the chain
checks them. Removals rest on what this node has heard, and on its having been there to hear it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from timecoin.codec import Wire, encode
from timecoin.ledger.block import Block
from timecoin.masternodes.book import HeartbeatBook
from timecoin.masternodes.changes import Leave, Removal, decode_change
from timecoin.masternodes.messages import MAX_BEATS, beats_of
from timecoin.masternodes.ports import MasternodeChain
from timecoin.params import HeartbeatTiming

PATIENCE_DIVISOR = 4
"""A proposer waits this part of an interval beyond the time to live: others hear later."""
UNATTESTED_INTERVALS = 2
"""So much longer for one that is heard: who is not may still be within that time."""


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a proposal must not be prepared, and the heartbeats that its proposer seems to lack."""

    reason: str
    messages: tuple[Wire, ...] = ()


class Membership:
    """This node's word on who is in the set."""

    def __init__(
        self,
        chain: MasternodeChain,
        book: HeartbeatBook,
        timing: HeartbeatTiming,
        own: bytes | None,
        may_judge: Callable[[int], bool],
        leaves: Callable[[], tuple[Leave, ...]],
    ) -> None:
        self._chain = chain
        self._book = book
        self._patience_ms = timing.ttl_ms + timing.interval_ms // PATIENCE_DIVISOR
        self._unattested_ms = UNATTESTED_INTERVALS * timing.interval_ms
        self._own = own
        self._may_judge = may_judge
        self._leaves = leaves

    def changes(self, now_ms: int) -> tuple[bytes, ...]:
        """Leaves, then removals of the longest silent, then joins, oldest acquaintance first."""
        leaves = [encode(leave) for leave in self._leaves() if self._chain.may_leave(leave)]
        removals = [encode(Removal(pubkey)) for pubkey in self._silent(now_ms)]
        joins = [encode(join) for join in self._book.joins(now_ms) if self._chain.may_join(join)]
        return (*leaves, *removals, *joins)

    def objection(self, block: Block, judged_ms: int, now_ms: int) -> Objection | None:
        """Whether this node must not prepare ``block``, which keeps the objective rules.

        ``judged_ms`` does not count here: a masternode that has come back by now stays.
        """
        changes = [decode_change(data) for data in block.body.avs_changes]
        removed = [change.pubkey for change in changes if isinstance(change, Removal)]
        if not removed:
            return None
        if not self._may_judge(now_ms):
            return Objection("removes a masternode, and this node has itself been away")
        live = [pubkey for pubkey in removed if self._book.is_live(pubkey, now_ms)]
        if self._own in removed:
            return Objection("removes this node", self._proof(live))
        if live:
            return Objection(f"removes {live[0].hex()}, which is live", self._proof(live))
        return None

    def _proof(self, live: list[bytes]) -> tuple[Wire, ...]:
        known = [self._book.verified(pubkey) for pubkey in live[:MAX_BEATS]]
        found = tuple(each.attested for each in known if each is not None)
        return (beats_of(found),) if found else ()

    def _silent(self, now_ms: int) -> list[bytes]:
        """Members to be removed, longest silent first; nobody if this node may not judge.

        While some are not heard at all, none whose heartbeats only lack attestations: those may be
        lacking because of the silent ones, and come when these are out of the set.
        """
        active = self._chain.active_set(self._chain.tip_height)
        if active is None or not self._may_judge(now_ms):
            return []
        unheard: list[tuple[int, bytes]] = []
        unattested: list[tuple[int, bytes]] = []
        for member in active.members:
            age_ms = self._book.age_ms(member.pubkey, now_ms)
            silence_ms = now_ms if age_ms is None else age_ms
            if member.pubkey == self._own or silence_ms < self._patience_ms:
                continue
            if not self._is_heard(member.pubkey, now_ms):
                unheard.append((-silence_ms, member.pubkey))
            elif silence_ms >= self._patience_ms + self._unattested_ms:
                unattested.append((-silence_ms, member.pubkey))
        return [pubkey for _, pubkey in sorted(unheard or unattested)]

    def _is_heard(self, pubkey: bytes, now_ms: int) -> bool:
        """Whether a heartbeat has come lately, though it lacks attestations."""
        gathering = self._book.gathering(pubkey)
        if gathering is None:
            return False
        return now_ms - gathering.heartbeat.timestamp < self._patience_ms
