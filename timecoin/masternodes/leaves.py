"""Signed leaves that wait for a block: they survive a restart, since their signers may be away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from timecoin.codec import encode
from timecoin.crypto.keys import Verify
from timecoin.machine import Record
from timecoin.masternodes.changes import Leave, decode_change, leave_statement
from timecoin.masternodes.messages import MAX_LEAVES, Leaves
from timecoin.masternodes.own import TABLE
from timecoin.masternodes.ports import MasternodeChain

_LEAVE = b"v"


@dataclass(slots=True)
class Taken:
    """What has become of leaves that came in."""

    new: list[Leave] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    forged: bool = False
    """One was signed by nobody; those after it were not looked at."""


class LeaveBook:
    """At most one leave of each member: the chain takes none of others."""

    def __init__(self, chain: MasternodeChain, chain_id: bytes, verify: Verify) -> None:
        self._chain = chain
        self._chain_id = chain_id
        self._verify = verify
        self._waiting: dict[bytes, Leave] = {}

    @property
    def waiting(self) -> tuple[Leave, ...]:
        """All that wait, oldest first."""
        return tuple(self._waiting.values())

    def restore(self, rows: tuple[tuple[str, bytes, bytes], ...]) -> None:
        """Take up what the last life recorded; what is over is dropped with the next block."""
        for table, key, value in rows:
            if table == TABLE and key.startswith(_LEAVE):
                leave = decode_change(value)
                if isinstance(leave, Leave):
                    self._waiting[leave.pubkey] = leave

    def take(self, leaves: Sequence[Leave]) -> Taken:
        """Keep those that are new and that the chain would take.

        Of others than members nothing is checked.
        """
        taken = Taken()
        for leave in leaves:
            if not self._is_of_member(leave):
                continue
            statement = leave_statement(self._chain_id, leave.pubkey, leave.joined_height)
            if not self._verify(leave.signer, statement, leave.signature):
                taken.forged = True
                break
            if self._chain.may_leave(leave):
                self._waiting[leave.pubkey] = leave
                taken.new.append(leave)
                taken.records.append(Record(TABLE, _LEAVE + leave.pubkey, encode(leave)))
        return taken

    def prune(self) -> list[Record]:
        """Drop the leaves that no block would take any more."""
        over = [
            pubkey for pubkey, leave in self._waiting.items() if not self._chain.may_leave(leave)
        ]
        for pubkey in over:
            del self._waiting[pubkey]
        return [Record(TABLE, _LEAVE + pubkey, None, durable=False) for pubkey in over]

    def message(self) -> Leaves | None:
        """For a new link: what waits."""
        return Leaves(self.waiting[:MAX_LEAVES]) if self._waiting else None

    def _is_of_member(self, leave: Leave) -> bool:
        """Whether it is of a member of which none waits."""
        active = self._chain.active_set(self._chain.tip_height)
        known = leave.pubkey in self._waiting
        return not known and active is not None and leave.pubkey in active.by_pubkey
