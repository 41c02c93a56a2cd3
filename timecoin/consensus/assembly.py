"""Proposals on their way in, whose certificates are not all here yet (PROTOCOL 6).

A proposal travels with the names of its certificates. Most are here already; the others are asked
for by name, first of who sent it, then of all others, one peer after the other. Nothing of it is
believed before the body hashes to what the header says.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from timecoin import params
from timecoin.codec import encode
from timecoin.consensus.messages import (
    MAX_NAMES,
    MAX_PROPOSAL_BYTES,
    GetProposedCertificates,
    Proposal,
    ProposedCertificates,
)
from timecoin.ledger.block import Block
from timecoin.machine import Effect, Send
from timecoin.quorum.certificate import certificate_name

MAX_OPEN_OF_PEER = 4
MAX_SIZE = 2 * MAX_PROPOSAL_BYTES
"""Of one with its certificates, whose names count too: more is no block."""
MAX_OPEN_BYTES = 64_000_000
"""Of all that is open; beyond that the oldest goes."""

MAX_KEPT_BYTES = 16_000_000
"""Of certificates that came: a round may end before they do, and the next names them again."""

FindCertificate = Callable[[bytes], bytes | None]
"""Name -> the encoded certificate, if this node holds it."""


@dataclass(slots=True)
class Open:
    """One proposal, as it came from ``senders``; what is ``lacking`` was asked of ``asked``."""

    proposal: Proposal
    arrived_ms: int
    size: int
    found: dict[bytes, bytes]
    lacking: dict[bytes, None]
    senders: dict[bytes, None] = field(default_factory=dict)
    asked: dict[bytes, None] = field(default_factory=dict)

    def add(self, name: bytes, data: bytes) -> None:
        """A certificate is here."""
        del self.lacking[name]
        self.found[name] = data
        self.size += len(data)

    def whole(self) -> Proposal:
        """The proposal with its certificates, once nothing is lacking."""
        block = self.proposal.block
        certificates = tuple(self.found[name] for name in block.body.certificates)
        body = replace(block.body, certificates=certificates)
        return replace(self.proposal, block=Block(block.header, body))


class Assembly:
    """What is open at one height."""

    def __init__(self, height: int, find: FindCertificate) -> None:
        self._height = height
        self._find = find
        self._open: dict[tuple[bytes, bytes], Open] = {}
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._asked: dict[bytes, None] = {}
        self._given: dict[bytes, dict[tuple[bytes, bytes], None]] = {}

    def begin(self, peer: bytes, proposal: Proposal, now_ms: int) -> Open | None:
        """``proposal``, in good form so far, has come from ``peer``; None if it has no place.

        What two peers sent alike is one. It stays open until :meth:`end` if anything is lacking.
        """
        key = _key(proposal)
        known = self._open.get(key)
        if known is None:
            known = self._begin(proposal, now_ms)
            if known.lacking:
                if sum(peer in each.senders for each in self._open.values()) >= MAX_OPEN_OF_PEER:
                    return None
                self._open[key] = known
                self._trim()
        known.senders[peer] = None
        return known

    def end(self, ended: Open) -> None:
        """It is whole, or wanted no more."""
        self._open.pop(_key(ended.proposal), None)

    def ask(self, opened: Open, links: Iterable[bytes]) -> list[Effect]:
        """Ask the next peer for what is lacking: senders first, then the other ``links``."""
        linked = dict.fromkeys(links)
        order = [peer for peer in opened.senders if peer in linked]
        order += [peer for peer in linked if peer not in opened.senders]
        peer = next((peer for peer in order if peer not in opened.asked), None)
        if peer is None:
            opened.asked.clear()  # who had nothing may have it by now
            return []
        opened.asked[peer] = self._asked[peer] = None
        names, block_hash = tuple(opened.lacking), opened.proposal.block.hash
        return [
            Send(
                peer,
                GetProposedCertificates(self._height, block_hash, names[start : start + MAX_NAMES]),
            )
            for start in range(0, len(names), MAX_NAMES)
        ]

    def was_asked(self, peer: bytes) -> bool:
        """Whether ``peer`` may send certificates."""
        return peer in self._asked

    def give(self, peer: bytes, proposal: Proposal, names: Iterable[bytes]) -> list[Effect]:
        """Send ``peer`` the certificates of ``proposal`` that it names, each once.

        For another proposal it may ask again: its round may have been over when they came.
        """
        certificates = proposal.block.body.certificates
        held = dict(zip(proposal.compact.block.body.certificates, certificates, strict=True))
        given = self._given.setdefault(peer, {})
        pages: list[list[bytes]] = []
        size = params.QUERY_MAX_BYTES
        for name in names:
            data = held.get(name)
            if data is None or (proposal.signature, name) in given:
                continue
            given[proposal.signature, name] = None
            if size + len(data) > params.QUERY_MAX_BYTES:
                pages.append([])
                size = 0
            pages[-1].append(data)
            size += len(data)
        return [Send(peer, ProposedCertificates(self._height, tuple(page))) for page in pages]

    def forget(self, peer: bytes) -> None:
        """Its link is gone."""
        self._asked.pop(peer, None)
        self._given.pop(peer, None)

    def open(self) -> list[Open]:
        """All that lacks something after another look at what is held here, oldest first."""
        for each in self._open.values():
            self._look(each)
        return list(self._open.values())

    def got(self, message: ProposedCertificates) -> list[Open]:
        """Certificates have come; returns what was waiting for any of them."""
        named = {certificate_name(data): data for data in message.certificates}
        touched: list[Open] = []
        for each in self.open():
            useful = [name for name in named if name in each.lacking]
            for name in useful:
                each.add(name, named[name])
            if each.size > MAX_SIZE:
                self.end(each)
            elif useful:
                touched.append(each)
        self._trim()
        self._keep(named)
        return touched

    def _keep(self, named: Mapping[bytes, bytes]) -> None:
        for name, data in named.items():
            if name not in self._kept:
                self._kept[name] = data
                self._kept_bytes += len(data)
        while self._kept_bytes > MAX_KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popitem(last=False)[1])

    def _begin(self, proposal: Proposal, now_ms: int) -> Open:
        names = dict.fromkeys(proposal.block.body.certificates)
        opened = Open(proposal, now_ms, 0, {}, names)
        self._look(opened)
        if opened.lacking:
            opened.size += len(encode(proposal))
        return opened

    def _look(self, opened: Open) -> None:
        for name in tuple(opened.lacking):
            data = self._kept.get(name) or self._find(name)
            if data is not None:
                opened.add(name, data)

    def _trim(self) -> None:
        while sum(each.size for each in self._open.values()) > MAX_OPEN_BYTES:
            del self._open[next(iter(self._open))]


def _key(proposal: Proposal) -> tuple[bytes, bytes]:
    """The signed part, and the body as it came: others may have sent another one."""
    return proposal.signature, proposal.block.body.root
