"""The items that were passed on or heard of lately, and who has them; bounded, oldest go first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from timecoin.codec import Wire
from timecoin.crypto.hashing import blake3_256

KEEP_MS = 60_000
MAX_ITEMS = 20_000
MAX_BYTES = 64_000_000


def item_id(kind: int, payload: bytes) -> bytes:
    """The name of an item: the hash of its frame."""
    return blake3_256(bytes((kind,)) + payload)


@dataclass(slots=True)
class Item:
    """One message that travels through the network."""

    at_ms: int
    """When it was first heard of."""
    has: int = 0
    """Peers that have the item or were told of it, by their bits (:meth:`Items.meet`)."""
    given: int = 0
    """Peers that this node has sent it whole."""
    heard: bool = False
    """Whether it has arrived, so that it need not be fetched."""
    own: bool = False
    """Whether this node is its author."""
    message: Wire | None = None
    """The message, once its machine has verified it and passed it on."""
    author: bytes | None = None
    size: int = 0


class Items:
    """Items by id, in the order in which they were first heard of."""

    def __init__(self) -> None:
        self._items: OrderedDict[bytes, Item] = OrderedDict()
        self._held: dict[bytes | None, dict[bytes, None]] = {}
        """Author -> ids of its items that can be handed out."""
        self._bytes = 0
        self._bits: dict[bytes, int] = {}
        self._free: list[int] = []
        self._stale = 0
        """Bits of links that are gone, which items still bear."""

    def __len__(self) -> int:
        return len(self._items)

    def get(self, name: bytes) -> Item | None:
        """The item ``name``, if anything is known of it."""
        return self._items.get(name)

    def of(self, name: bytes, now_ms: int) -> Item:
        """The item ``name``, which may be new."""
        item = self._items.get(name)
        if item is None:
            self._trim(now_ms)
            item = self._items[name] = Item(now_ms)
        return item

    def hold(self, name: bytes, message: Wire, author: bytes | None, size: int) -> None:
        """Keep ``message``, which is the item ``name``, for those who will ask for it."""
        item = self._items[name]
        item.message, item.author, item.size = message, author, size
        self._held.setdefault(author, {})[name] = None
        self._bytes += size
        while self._bytes > MAX_BYTES:
            self._pop()

    def meet(self, peer: bytes) -> int:
        """Give a linked peer its bit in the bitmaps of items, until it is forgotten; returns it.

        A thousand peers and many items: sets of names would take hundreds of megabytes.
        """
        if peer not in self._bits:
            if self._stale and not self._free:
                self._sweep()
            self._bits[peer] = self._free.pop() if self._free else 1 << len(self._bits)
        return self._bits[peer]

    def bit(self, peer: bytes) -> int:
        """The bit of ``peer``; 0 if it is not linked."""
        return self._bits.get(peer, 0)

    def bits(self, peers: Iterable[bytes]) -> int:
        """The bits of those of ``peers`` that are linked."""
        found = 0
        for peer in peers:
            found |= self.bit(peer)
        return found

    def forget(self, peer: bytes) -> None:
        """The link is gone; a new one begins with nothing told."""
        self._stale |= self._bits.pop(peer, 0)

    def _sweep(self) -> None:
        """Take the stale bits out of all items: many at once, as a crowd often goes together."""
        fresh = ~self._stale
        for item in self._items.values():
            item.has &= fresh
            item.given &= fresh
        while self._stale:
            self._free.append(self._stale & -self._stale)
            self._stale &= self._stale - 1

    def authors(self) -> Iterable[bytes | None]:
        """Whose items can be handed out; None: of nobody in particular."""
        return self._held

    def held(self, author: bytes | None, since_ms: int = 0) -> Iterator[bytes]:
        """Ids of the items of ``author`` that can be handed out, if first heard of since then."""
        names = self._held.get(author, ())
        return (name for name in names if self._items[name].at_ms >= since_ms)

    def orphan(self, author: bytes) -> None:
        """What ``author`` has said so far is of nobody in particular: it may not hold it itself."""
        names = self._held.pop(author, None)
        if names is None:
            return
        self._held.setdefault(None, {}).update(names)
        for name in names:
            self._items[name].author = None

    def _trim(self, now_ms: int) -> None:
        while self._items:
            oldest = next(iter(self._items.values()))
            if len(self._items) < MAX_ITEMS and oldest.at_ms + KEEP_MS > now_ms:
                break
            self._pop()

    def _pop(self) -> None:
        name, item = self._items.popitem(last=False)
        self._bytes -= item.size
        if item.message is not None:
            held = self._held[item.author]
            del held[name]
            if not held:
                del self._held[item.author]
