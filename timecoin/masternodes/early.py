"""Heartbeats of members whose tip this node has not seen yet: they wait for the next block."""

from __future__ import annotations

from timecoin.masternodes.changes import Join
from timecoin.masternodes.heartbeat import Attested


class EarlyBeats:
    """The latest of each member and peer's link; so bounded by the active set.

    Nothing of them has been checked: they are taken in like new ones when a block has come.
    """

    def __init__(self) -> None:
        self._waiting: dict[bytes, tuple[bytes, Attested | Join]] = {}

    def keep(self, peer: bytes, item: Attested | Join) -> None:
        """Keep ``item``, which ``peer`` sent, in place of an earlier one of the same member.

        One that brings more attestations is not given up for one of the same number.
        """
        attested = item if isinstance(item, Attested) else item.attested
        pubkey = attested.heartbeat.pubkey
        known = self._waiting.get(pubkey)
        if known is not None:
            before = known[1] if isinstance(known[1], Attested) else known[1].attested
            if _rank(before) > _rank(attested):
                return
        self._waiting[pubkey] = (peer, item)

    def forget(self, peer: bytes) -> None:
        """The link to ``peer`` is gone."""
        self._waiting = {
            pubkey: found for pubkey, found in self._waiting.items() if found[0] != peer
        }

    def take(self) -> tuple[tuple[bytes, Attested | Join], ...]:
        """All that waits, with the peers that sent it; nothing waits any more."""
        waiting, self._waiting = tuple(self._waiting.values()), {}
        return waiting


def _rank(attested: Attested) -> tuple[int, int]:
    return attested.heartbeat.sequence, len(attested.attestations)
