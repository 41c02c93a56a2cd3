"""Whom to call by this node's own choice: eight links to different networks (PROTOCOL 7).

No two of them go to one address group, however many addresses a group has in the book. Two go to
*anchors*, nodes that the last life kept links with, and two to staked masternodes, as soon as any
are known: who fills the book with addresses of his own does not get those. Every two minutes a
node that was only heard of is called and let go, so that *tried* grows.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable
from dataclasses import dataclass

from timecoin.p2p.addressbook import AddressBook, Entry
from timecoin.p2p.netgroup import address_group, is_public
from timecoin.params import OUTBOUND_SLOTS

ANCHOR_SLOTS, STAKED_SLOTS = 2, 2
FEELER_MS = 120_000


class Role(enum.Enum):
    """Why a node was called."""

    ANCHOR = "anchor"
    STAKED = "staked"
    ANY = "any"
    FEELER = "feeler"


@dataclass(frozen=True, slots=True)
class Slot:
    """A link, or a call under way, that this node chose."""

    node_id: bytes
    host: bytes
    role: Role


class Outbound:
    """Which slots are taken, and who comes next; ``is_staked`` judges a voting key."""

    def __init__(
        self,
        book: AddressBook,
        anchors: tuple[bytes, ...],
        is_staked: Callable[[bytes], bool],
        rng: random.Random,
    ) -> None:
        self._book = book
        self._is_staked = is_staked
        self._rng = rng
        self._anchors = list(anchors[:ANCHOR_SLOTS])
        self._feeler_due_ms = 0
        self.slots: dict[bytes, Slot] = {}
        """By node id, in the order of the calls."""

    def next_call(
        self, now_ms: int, welcome: Callable[[bytes, bytes], bool]
    ) -> tuple[Slot, Entry] | None:
        """The next node to call, whose slot is taken from now on; None if nobody fits.

        ``welcome`` of (node id, host): neither linked, nor banned, nor this node itself.
        """
        fits = self._fits(welcome)
        for role in self._open_roles(now_ms):
            entry = self._candidate(role, now_ms, fits)
            if entry is not None:
                record = entry.record
                slot = Slot(record.node_id, record.host, role)
                self.slots[record.node_id] = slot
                return slot, entry
        return None

    def release(self, node_id: bytes) -> None:
        """The link, or the call, is gone."""
        self.slots.pop(node_id, None)

    def surplus(self, now_ms: int, welcome: Callable[[bytes, bytes], bool]) -> bytes | None:
        """A link to end so that a staked node can have its place: of those for anybody the newest.

        None unless all slots are taken, staked nodes have less than their share, and one of them
        could be called now.
        """
        held = [slot for slot in self.slots.values() if slot.role is not Role.FEELER]
        staked = sum(self.is_staked_node(slot.node_id) for slot in held)
        newest = next((s.node_id for s in reversed(held) if s.role is Role.ANY), None)
        if len(held) < OUTBOUND_SLOTS or staked >= STAKED_SLOTS or newest is None:
            return None
        fits = self._fits(welcome)
        waiting = self._book.choose_masternode(
            now_ms, self._rng, lambda e: self._is_staked_entry(e) and fits(e)
        )
        return None if waiting is None else newest

    def anchors(self, is_linked: Callable[[bytes], bool]) -> tuple[bytes, ...]:
        """Whom the next life should call first: the links that have lasted longest."""
        lasting = [
            slot.node_id
            for slot in self.slots.values()
            if slot.role is not Role.FEELER and is_linked(slot.node_id)
        ]
        return tuple(lasting[:ANCHOR_SLOTS])

    def is_staked_node(self, node_id: bytes) -> bool:
        """Whether the node proved a staked key when it was linked last."""
        entry = self._book.get(node_id)
        return entry is not None and self._is_staked_entry(entry)

    def _open_roles(self, now_ms: int) -> list[Role]:
        held = [slot.role for slot in self.slots.values() if slot.role is not Role.FEELER]
        roles: list[Role] = []
        if len(held) < OUTBOUND_SLOTS:
            if held.count(Role.ANCHOR) < ANCHOR_SLOTS and self._anchors:
                roles.append(Role.ANCHOR)
            roles.append(Role.STAKED)
            roles.append(Role.ANY)
        if now_ms >= self._feeler_due_ms and not any(
            slot.role is Role.FEELER for slot in self.slots.values()
        ):
            roles.append(Role.FEELER)
        return roles

    def _candidate(self, role: Role, now_ms: int, fits: Callable[[Entry], bool]) -> Entry | None:
        match role:
            case Role.ANCHOR:
                while self._anchors:
                    entry = self._book.get(self._anchors.pop(0))
                    if entry is not None and fits(entry):
                        return entry
                return None
            case Role.STAKED:
                return self._book.choose_masternode(
                    now_ms, self._rng, lambda e: self._is_staked_entry(e) and fits(e)
                )
            case Role.ANY:
                return self._book.choose(now_ms, self._rng, None, fits)
            case Role.FEELER:
                self._feeler_due_ms = now_ms + FEELER_MS
                return self._book.choose(now_ms, self._rng, False, fits)

    def _fits(self, welcome: Callable[[bytes, bytes], bool]) -> Callable[[Entry], bool]:
        def fits(entry: Entry) -> bool:
            record = entry.record
            return (
                record.node_id not in self.slots
                and self._is_new_group(record.host)
                and welcome(record.node_id, record.host)
            )

        return fits

    def _is_staked_entry(self, entry: Entry) -> bool:
        return entry.masternode is not None and self._is_staked(entry.masternode)

    def _is_new_group(self, host: bytes) -> bool:
        if not is_public(host):
            return True
        group = address_group(host)
        return all(address_group(slot.host) != group for slot in self.slots.values())
