"""Heartbeats: how many there are, and the history of each masternode."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from twisted.internet.interfaces import IReactorTime

from timecoin.chain.views import ChainViews
from timecoin.masternodes.history import KEPT_ROWS, ROW_MS, Moment, read_row, row_key
from timecoin.masternodes.ports import HeartbeatRows
from timecoin.rpc.condition import Condition
from timecoin.rpc.errors import NOT_FOUND, RpcError
from timecoin.rpc.method import rpc_method
from timecoin.rpc.ports import HeartbeatReader
from timecoin.rpc.rendering import Json
from timecoin.rpc.roster import Roster
from timecoin.rpc.turns import in_turns
from timecoin.rpc.valuetypes import Integer, Text

RATE_DIGITS = 4

Name = Annotated[str, Text(max_chars=128, label="pubkey or address")]
Limit = Annotated[int, Integer(1, 1_000, label="count")]


class HeartbeatMethods:
    """What this node has heard."""

    def __init__(
        self,
        clock: IReactorTime,
        views: ChainViews,
        roster: Roster,
        heartbeats: HeartbeatReader,
        rows: HeartbeatRows,
        condition: Condition,
    ) -> None:
        self._clock = clock
        self._views = views
        self._roster = roster
        self._heartbeats = heartbeats
        self._rows = rows
        self._condition = condition

    @rpc_method()
    def getattestationstats(self) -> Json:
        """Heartbeats since this node started: heard, verified by enough witnesses, and waiting.

        unique_masternodes are those that something is known of now. verification_rate is null
        before the first heartbeat. attested are those that this node witnessed, refused messages
        with something forged in them.
        """
        counts, book = self._heartbeats.counts, self._heartbeats.book
        rate = None
        if counts.heard:
            rate = round(Decimal(counts.verified) / counts.heard, RATE_DIGITS)
        return {
            "total_heartbeats": counts.heard,
            "verified_heartbeats": counts.verified,
            "pending_heartbeats": book.gathering_count(),
            "unique_masternodes": len(book),
            "verification_rate": rate,
            "attested": counts.attested,
            "refused": counts.refused,
            "sent": counts.sent,
        }

    @rpc_method()
    async def getheartbeathistory(self, pubkey: Name, limit: Limit = 10) -> Json:
        """The verified heartbeats of a masternode in the last 7 days, the newest limit of them.

        It is named by its voting key in hex, or by the address at which masternodelist shows it.
        Times are Unix milliseconds. witnesses are null when the active set of the time is no longer
        kept. Error -5 when nobody is known by that name.
        """
        key, address = self._find(pubkey)
        newest = self._condition.now_ms // ROW_MS
        total, recent = 0, list[Moment]()
        async for span in in_turns(self._clock, range(newest + 1, max(-1, newest - KEPT_ROWS), -1)):
            moments = read_row(self._rows.get(row_key(span, key)))
            total += len(moments)
            recent += moments[::-1][: limit - len(recent)]
        return {
            "pubkey": key.hex(),
            "address": address,
            "total_verified_heartbeats": total,
            "latest_sequence": recent[0].sequence if recent else None,
            "recent_heartbeats": [self._moment_json(moment) for moment in recent],
        }

    def _moment_json(self, moment: Moment) -> Json:
        snapshot = self._views.active_set(moment.tip_height)
        members = None if snapshot is None else list(snapshot.weights)
        return {
            "sequence": moment.sequence,
            "timestamp": moment.timestamp,
            "verified": True,
            "tip_height": moment.tip_height,
            "witness_count": len(moment.witnesses),
            "witnesses": None
            if members is None
            else [members[index].hex() for index in moment.witnesses if index < len(members)],
        }

    def _find(self, name: str) -> tuple[bytes, str | None]:
        """The voting key that is meant, and where it is linked."""
        addresses = {key: link.address for key, link in self._roster.links().items()}
        own = self._roster.identity.voting_pubkey
        if own is not None:
            addresses[own] = next(map(str, self._roster.identity.listening()), "")
        for key, address in addresses.items():
            if name in (str(address), key.hex()):
                return key, str(address)
        try:
            key = bytes.fromhex(name)
        except ValueError:
            key = b""
        known = self._heartbeats.book.verified(key) is not None
        if not known and key not in self._roster.active_set().by_pubkey:
            raise RpcError(NOT_FOUND, "No masternode by that pubkey or address")
        return key, None
