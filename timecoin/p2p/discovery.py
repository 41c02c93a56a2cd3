"""What nodes tell each other of addresses: their own record, a sample of the book, what they see.

A private host is told to, and believed from, those only that are on a private network themselves.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from timecoin.crypto.keys import SigningKey
from timecoin.p2p.addressbook import AddressBook
from timecoin.p2p.messages import MAX_ADDRESSES, Addresses, GetAddresses, Observed
from timecoin.p2p.netgroup import address_group, is_canonical, is_public
from timecoin.p2p.records import AddressRecord, is_signed, is_timely, sign_record
from timecoin.p2p.tokens import TokenBucket

FORGED_POINTS = 25
RECORDS_PER_MINUTE, RECORDS_BURST = 6, 1_000
"""How many records of one peer are looked at."""
ANSWER_MS = 600_000
MAX_ANSWERS = 2
"""Questions of one peer that are answered at once; one more each ten minutes."""
RENEW_S = 24 * 3600
"""A node's own record is signed anew after this time."""
MAX_WITNESSES = 64
PUBLIC_WITNESSES = 2
"""Networks that must agree on this node's public address before it tells others."""

Tell = Callable[[Addresses | GetAddresses | Observed], None]


@dataclass(slots=True)
class _Link:
    host: bytes
    inbound: bool
    records: TokenBucket
    answers: TokenBucket
    told_s: int = 0
    """Timestamp of the own record that it was told last."""


class Discovery:
    """One for all links of a node; returns what is to be said, and points for forgeries."""

    def __init__(
        self,
        key: SigningKey,
        chain_id: bytes,
        services: int,
        book: AddressBook,
        rng: random.Random,
        own_host: bytes | None,
    ) -> None:
        """``own_host``: where others reach this node; None learns it from those it calls."""
        self._key = key
        self._chain_id = chain_id
        self._services = services
        self._book = book
        self._rng = rng
        self._own_host = own_host
        self._witnesses: dict[bytes, bytes] = {}
        self._links: dict[bytes, _Link] = {}
        self._own: AddressRecord | None = None

    def link_up(self, peer: bytes, host: bytes, inbound: bool, now_ms: int, tell: Tell) -> None:
        """A link came up: say what there is to say at once."""
        self._links[peer] = _Link(
            host,
            inbound,
            TokenBucket(RECORDS_PER_MINUTE, RECORDS_BURST, now_ms),
            TokenBucket(1, MAX_ANSWERS * ANSWER_MS // 60_000, now_ms),
        )
        if inbound:
            tell(Observed(host))
        else:
            tell(GetAddresses())

    def link_down(self, peer: bytes) -> None:
        """The link is gone."""
        self._links.pop(peer, None)

    def introduce(self, peer: bytes, port: int, now_ms: int, tell: Tell) -> None:
        """Tell ``peer`` where this node listens, if it knows and the peer does not yet."""
        link = self._links.get(peer)
        own = self.own_record(port, now_ms // 1000)
        if link is None or own is None or link.told_s == own.timestamp:
            return
        if is_public(own.host) or not is_public(link.host):
            link.told_s = own.timestamp
            tell(Addresses((own,)))

    def heard(
        self,
        peer: bytes,
        message: GetAddresses | Addresses | Observed,
        now_ms: int,
        tell: Tell,
    ) -> int:
        """Take what ``peer`` says; the points that it costs: above 0 only for a forgery."""
        link = self._links.get(peer)
        if link is None:
            return 0
        match message:
            case GetAddresses():
                self._answer(link, now_ms, tell)
            case Addresses(records):
                return self._learn(link, records, now_ms)
            case Observed(host):
                self._witness(link, host)
        return 0

    def own_record(self, port: int, now_s: int) -> AddressRecord | None:
        """This node's record, signed anew when its address has changed or a day has passed."""
        host = self._own_host or self._seen_host()
        if host is None or not port:
            return None
        own = self._own
        if own is None or (own.host, own.port) != (host, port) or now_s - own.timestamp >= RENEW_S:
            # A second record within one second has to be the newer one too.
            timestamp = now_s if own is None else max(now_s, own.timestamp + 1)
            own = sign_record(self._key, self._chain_id, host, port, self._services, timestamp)
            self._own = own
        return own

    def _answer(self, link: _Link, now_ms: int, tell: Tell) -> None:
        if not link.answers.take(ANSWER_MS // 60_000, now_ms):
            return
        records = self._book.sample(MAX_ADDRESSES, now_ms, self._rng, is_public(link.host))
        if records:
            tell(Addresses(tuple(records)))

    def _learn(self, link: _Link, records: tuple[AddressRecord, ...], now_ms: int) -> int:
        source = address_group(link.host)
        for record in records:
            if not link.records.take(1, now_ms):
                return 0
            if record.node_id == self._key.public or not is_timely(record, now_ms // 1000):
                continue
            if not is_public(record.host) and is_public(link.host):
                continue
            if not self._book.is_news(record, source):
                continue
            if not is_signed(record, self._chain_id):
                return FORGED_POINTS
            self._book.add(record, source)
        return 0

    def _witness(self, link: _Link, host: bytes) -> None:
        # Who calls may say what it likes of where it called; who was called has seen us.
        if link.inbound or not is_canonical(host) or is_public(host) != is_public(link.host):
            return
        group = address_group(link.host)
        self._witnesses.pop(group, None)
        self._witnesses[group] = host
        if len(self._witnesses) > MAX_WITNESSES:
            del self._witnesses[next(iter(self._witnesses))]

    def _seen_host(self) -> bytes | None:
        """The host that most networks see; the one seen last of those that are even."""
        seen: dict[bytes, int] = {}
        for host in reversed(self._witnesses.values()):
            seen[host] = seen.get(host, 0) + 1
        needed = {
            host: count
            for host, count in seen.items()
            if count >= (PUBLIC_WITNESSES if is_public(host) else 1)
        }
        return max(needed, key=lambda host: needed[host], default=None)
