"""Who is not welcome, and until when: node keys, and by the operator's word networks too.

A key that misbehaves is banned by its reputation; addresses are banned by hand only (``setban``),
because many nodes may share one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from timecoin.codec import U64, CodecError, Wire, decode, encode
from timecoin.p2p.netgroup import pack_host
from timecoin.params import MAX_BANS

NODE_ID_BYTES = 32
MAX_ROW_BYTES = 1_024
MAX_REASON_CHARS = 200

Subject = bytes | IPv4Network | IPv6Network
"""A node id, or a network."""


class Row(Wire, frozen=True):
    """A ban at rest."""

    created_ms: U64
    until_ms: U64
    reason: str


@dataclass(frozen=True, slots=True)
class Ban:
    """One ban; the times are Unix milliseconds."""

    subject: Subject
    created_ms: int
    until_ms: int
    reason: str


def parse_subject(text: str) -> Subject:
    """A node id in hex, an IP address or a network with ``/``; ``ValueError`` for anything else."""
    if len(text) == 2 * NODE_ID_BYTES and text.isascii() and text.isalnum():
        return bytes.fromhex(text)
    address, slash, bits = text.partition("/")
    packed = pack_host(address)
    if packed is None or "%" in address:
        raise ValueError(f"{text!r} is neither a node id nor an address nor a network")
    return ip_network(f"{ip_address(packed)}/{bits}" if slash else ip_address(packed), strict=False)


def subject_text(subject: Subject) -> str:
    """The inverse of :func:`parse_subject`; a single address as Bitcoin shows it, ``/32``."""
    return subject.hex() if isinstance(subject, bytes) else str(subject)


class Bans:
    """Bans by subject; ``changed`` names those that are not at rest as they are.

    When there are too many, the one that ends first goes.
    """

    def __init__(self) -> None:
        self._bans: dict[Subject, Ban] = {}
        self._networks = 0
        self.changed: dict[Subject, None] = {}

    def add(self, subject: Subject, now_ms: int, until_ms: int, reason: str) -> None:
        """Ban ``subject``, or ban it anew."""
        self._put(Ban(subject, now_ms, until_ms, reason[:MAX_REASON_CHARS]))
        if len(self._bans) > MAX_BANS:
            self.remove(min(self._bans.values(), key=lambda ban: ban.until_ms).subject)

    def remove(self, subject: Subject) -> bool:
        """End a ban; False if there is none."""
        if self._bans.pop(subject, None) is None:
            return False
        self._networks -= not isinstance(subject, bytes)
        self.changed[subject] = None
        return True

    def get(self, subject: Subject, now_ms: int) -> Ban | None:
        """The ban of exactly this subject, if it has not ended."""
        ban = self._bans.get(subject)
        return None if ban is None or ban.until_ms <= now_ms else ban

    def of_host(self, host: bytes, now_ms: int) -> Ban | None:
        """The ban of a network in which the host stands."""
        if not self._networks:
            return None
        address = ip_address(host)
        for subject, ban in self._bans.items():
            if isinstance(subject, bytes) or ban.until_ms <= now_ms:
                continue
            if address in subject:
                return ban
        return None

    def standing(self, now_ms: int) -> list[Ban]:
        """All bans that have not ended, the oldest first; those that have are forgotten."""
        for ban in list(self._bans.values()):
            if ban.until_ms <= now_ms:
                self.remove(ban.subject)
        return list(self._bans.values())

    def __iter__(self) -> Iterator[Ban]:
        return iter(list(self._bans.values()))

    # At rest.

    def row(self, subject: Subject) -> bytes | None:
        """The ban as bytes; None if it is gone."""
        ban = self._bans.get(subject)
        return None if ban is None else encode(Row(ban.created_ms, ban.until_ms, ban.reason))

    def restore(self, subject_name: str, data: bytes) -> None:
        """Put back a row of an earlier life; ``CodecError`` if it is none."""
        row = decode(data, Row, MAX_ROW_BYTES)
        try:
            subject = parse_subject(subject_name)
        except ValueError as error:
            raise CodecError(f"not a ban: {error}") from error
        self._put(Ban(subject, row.created_ms, row.until_ms, row.reason))
        self.changed.pop(subject, None)

    def _put(self, ban: Ban) -> None:
        if ban.subject not in self._bans:
            self._networks += not isinstance(ban.subject, bytes)
        self._bans[ban.subject] = ban
        self.changed[ban.subject] = None
