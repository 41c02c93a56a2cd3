"""Between links and machines: frames become messages for the machine that owns them, and back.

Bytes that are no message of their kind are charged to the peer and go no further.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from timecoin.codec import CodecError, Decode, Wire, decode, encode
from timecoin.driver import Driver
from timecoin.gossip.machine import Gossip
from timecoin.gossip.messages import Bundle
from timecoin.machine import LinkDown, LinkUp, Machine, Received
from timecoin.node.catalog import KIND_OF, MESSAGES, Owner
from timecoin.p2p.ports import Network

MALFORMED_POINTS = 20
UNKNOWN_KIND_POINTS = 5


class Messenger:
    """The driver's way out: encodes messages and hands them to the network."""

    def __init__(self, network: Network, is_staked: Callable[[bytes], bool]) -> None:
        self._network = network
        self._is_staked = is_staked
        self._links: dict[bytes, bytes | None] = {}
        self._encoded: tuple[Wire, int, bytes] | None = None
        """The last message in its encoding: many go to several peers, one after the other."""

    def link_up(self, peer: bytes, masternode: bytes | None) -> None:
        """Remember a link and the voting key that was proved on it."""
        self._links[peer] = masternode

    def link_down(self, peer: bytes) -> None:
        """Forget a link."""
        self._links.pop(peer, None)

    def send(self, peer: bytes, message: Wire) -> None:
        """Send to one peer; a lost link is no error."""
        self._network.send(peer, *self._frame(message))

    def broadcast(self, message: Wire, staked_only: bool, skip: bytes | None) -> None:
        """Encode once, send to all linked peers (or the staked ones) but ``skip``."""
        kind, payload = self._frame(message)
        # A send may end its link, which changes the links while we go through them.
        for peer, masternode in list(self._links.items()):
            if peer == skip:
                continue
            if staked_only and (masternode is None or not self._is_staked(masternode)):
                continue
            self._network.send(peer, kind, payload)

    def blame(self, peer: bytes, points: int, reason: str) -> None:
        """Charge a peer's reputation."""
        self._network.blame(peer, points, reason)

    def praise(self, peer: bytes, points: int) -> None:
        """Add to a peer's reputation."""
        self._network.praise(peer, points)

    def _frame(self, message: Wire) -> tuple[int, bytes]:
        if self._encoded is None or self._encoded[0] is not message:
            self._encoded = (message, KIND_OF[type(message)], encode(message))
        return self._encoded[1:]


class Router:
    """The network's listener: decodes frames by the catalog and queues them for their machine."""

    def __init__(
        self,
        driver: Driver,
        messenger: Messenger,
        gossip: Gossip,
        machines: Mapping[Owner, Machine],
        decode: Decode = decode,
    ) -> None:
        """``gossip`` is the machine of ``Owner.GOSSIP`` among ``machines``."""
        self._driver = driver
        self._gossip = gossip
        self._messenger = messenger
        self._machines = machines
        self._decode = decode

    def link_up(self, peer: bytes, masternode: bytes | None) -> None:
        """Tell every machine of a new link."""
        self._messenger.link_up(peer, masternode)
        for machine in self._machines.values():
            self._driver.deliver(machine, LinkUp(peer, masternode))

    def link_down(self, peer: bytes) -> None:
        """Tell every machine that a link is gone."""
        self._messenger.link_down(peer)
        for machine in self._machines.values():
            self._driver.deliver(machine, LinkDown(peer))

    def frame_received(self, peer: bytes, kind: int, payload: bytes) -> None:
        """Decode one frame and queue it, or charge the peer."""
        known = MESSAGES.get(kind)
        if known is None:
            self._messenger.blame(peer, UNKNOWN_KIND_POINTS, f"unknown message kind {kind}")
            return
        if known.type is Bundle:
            self._unpack(peer, payload, known.max_bytes)
            return
        if known.spreads and len(payload) <= known.max_bytes:
            if self._gossip.heard(peer, kind, payload, self._driver.now_ms()):
                return  # passed on before: its machine has no use for it
        try:
            message = self._decode(payload, known.type, known.max_bytes)
        except CodecError as error:
            self._messenger.blame(peer, MALFORMED_POINTS, f"malformed message: {error}")
            return
        self._driver.deliver(self._machines[known.owner], Received(peer, message))

    def _unpack(self, peer: bytes, payload: bytes, max_bytes: int) -> None:
        """Take the items of a bundle as if each had come alone."""
        try:
            bundle = self._decode(payload, Bundle, max_bytes)
        except CodecError as error:
            self._messenger.blame(peer, MALFORMED_POINTS, f"malformed message: {error}")
            return
        for kind, item in bundle.items:
            known = MESSAGES.get(kind)
            if known is None or not known.spreads:
                self._messenger.blame(peer, MALFORMED_POINTS, f"kind {kind} in a bundle")
                return
            self.frame_received(peer, kind, item)
