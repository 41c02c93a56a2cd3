"""Keeps calling the configured peers: one loop an address, until it is taken off the list.

Between calls the pause grows from 1 s to at most 3 s, with jitter so that nodes that lost each
other do not call in step. An address whose node is linked already, by whichever side's call, or is
banned, is left alone until that ends.
"""

from __future__ import annotations

import random

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from timecoin.p2p.address import PeerAddress
from timecoin.p2p.calling import Caller, CallFailed
from timecoin.p2p.peer import Peer

FIRST_PAUSE_MS = 1_000
MAX_PAUSE_MS = 3_000


class Connector:
    """Calls the peers on the operator's list, and calls again when a link is lost."""

    log = Logger()

    def __init__(self, caller: Caller, rng: random.Random) -> None:
        self._caller = caller
        self._rng = rng
        self._loops: dict[PeerAddress, Deferred[None]] = {}
        self._once: dict[Deferred[None], None] = {}
        self._stopped = False
        self._called: dict[PeerAddress, Peer | bytes | None] = {}
        """At each address that is kept linked: the connection, else the node id last found."""
        self.broken = 0
        """Loops that a fault has ended."""

    @property
    def reconnecting(self) -> int:
        """Addresses that are called because no link is up."""
        return sum(not self._is_linked(found) for found in self._called.values())

    def _is_linked(self, found: Peer | bytes | None) -> bool:
        if isinstance(found, Peer):
            return found.established_ms is not None
        return found is not None and self._caller.links.is_settled(found)

    def start(self, addresses: tuple[PeerAddress, ...]) -> None:
        """Begin to call each address."""
        self._stopped = False
        for address in addresses:
            self.add(address)

    def add(self, address: PeerAddress) -> bool:
        """Begin to call an address; False if it is on the list already."""
        if address in self._loops:
            return False
        loop = self._loops[address] = ensureDeferred(self._keep_linked(address))
        loop.addErrback(self._loop_ended, address)
        return True

    def remove(self, address: PeerAddress) -> bool:
        """Call an address no more; its link stays. False if it is not on the list."""
        loop = self._loops.pop(address, None)
        if loop is None:
            return False
        self._called.pop(address, None)
        loop.cancel()
        return True

    def call_once(self, address: PeerAddress) -> None:
        """One call, whatever comes of it."""
        call = ensureDeferred(self._call_once(address))
        self._once[call] = None
        call.addErrback(self._loop_ended, address)
        call.addBoth(lambda _: self._once.pop(call, None))

    def stop(self) -> None:
        """Call nobody any more; links that are up stay."""
        self._stopped = True
        loops, self._loops = self._loops, {}
        for loop in [*loops.values(), *self._once]:
            loop.cancel()

    async def _call_once(self, address: PeerAddress) -> None:
        try:
            await self._caller.call(address)
        except CallFailed as error:
            self.log.info("no link with {address}: {trouble}", address=address, trouble=str(error))

    async def _keep_linked(self, address: PeerAddress) -> None:
        links = self._caller.links
        node_id: bytes | None = None
        self._called[address] = None
        trouble, failures = "", 0
        while True:
            told = trouble
            if node_id is None or not links.is_settled(node_id):
                try:
                    peer = await self._caller.call(address)
                    self._called[address] = peer
                    await peer.finished
                except CallFailed as error:
                    if self._stopped:
                        return
                    trouble = str(error)
                else:
                    if peer.own_address:
                        self.log.info("{address} is this node itself", address=address)
                        del self._called[address]
                        return
                    node_id = peer.node_id or node_id
                    self._called[address] = node_id
                    trouble = "" if peer.established_ms is not None else peer.close_reason
            if node_id is not None and links.is_settled(node_id):
                trouble = ""
            failures = failures + 1 if trouble else 0
            if trouble and trouble != told:
                self.log.warn("no link with {address}: {trouble}", address=address, trouble=trouble)
            await deferLater(self._caller.clock, self._pause_ms(failures) / 1000)

    def _pause_ms(self, failures: int) -> int:
        longest_ms = min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** min(failures + 1, 8))
        return self._rng.randint(FIRST_PAUSE_MS, longest_ms)

    def _loop_ended(self, failure: Failure, address: PeerAddress) -> None:
        if not isinstance(failure.value, CancelledError):
            self.broken += 1
            self.log.failure("calling {address} failed", failure, address=address)
