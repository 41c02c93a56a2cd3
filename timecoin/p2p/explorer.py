"""Keeps the outbound slots filled from the address book, and asks DNS when the book is bare."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.error import DNSLookupError
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from timecoin.p2p.address import PeerAddress
from timecoin.p2p.calling import Caller, CallFailed
from timecoin.p2p.memory import WRITE_MS
from timecoin.p2p.netgroup import address_group, is_public
from timecoin.p2p.outbound import Outbound, Role, Slot

TURN_MS = 500
ASK_MS = 15 * 60_000
BARE_LINKS = 2
"""With fewer outbound links than these, DNS is asked."""
SEED_AFTER_MS, SEED_AGAIN_MS = 10_000, 300_000
MAX_HINTS = 64
SHORT_LINK_MS = 60_000
"""A link that ends sooner counts as a call that failed."""

Resolve = Callable[[str], Deferred[list[str]]]
"""The addresses of a name."""


class Explorer:
    """Finds nodes and keeps links with a few of them, all over the network."""

    log = Logger()

    def __init__(
        self,
        caller: Caller,
        outbound: Outbound,
        rng: random.Random,
        seeds: tuple[PeerAddress, ...],
        resolve: Resolve,
    ) -> None:
        """``seeds``: names whose addresses are nodes, and the port that those listen on."""
        self._caller = caller
        self._links = caller.links
        self._outbound = outbound
        self._rng = rng
        self._seeds = seeds
        self._resolve = resolve
        self._hints: list[PeerAddress] = []
        self._turns = LoopingCall(self._turn)
        self._turns.clock = caller.clock
        self._started = False
        self._calls: dict[Deferred[None], None] = {}
        self._ask_due_ms = self._write_due_ms = self._seed_due_ms = 0

    @property
    def broken(self) -> bool:
        """Whether its loop should turn, and a fault has ended it."""
        return self._started and not self._turns.running

    def start(self) -> None:
        """Begin; the first call comes at once if the book has somebody to call."""
        now_ms = self._now_ms()
        self._ask_due_ms, self._write_due_ms = now_ms + ASK_MS, now_ms + WRITE_MS
        self._seed_due_ms = now_ms + SEED_AFTER_MS
        self._started = True
        self._turns.start(TURN_MS / 1000).addErrback(self._ended, "looking for nodes")

    def stop(self) -> None:
        """Call nobody any more, and bring everything to rest; links that are up stay."""
        self._started = False
        if self._turns.running:
            self._turns.stop()
        for call in list(self._calls):
            call.cancel()
        self._links.memory.write()

    def _turn(self) -> None:
        now_ms = self._now_ms()
        links, outbound = self._links, self._outbound
        surplus = outbound.surplus(now_ms, self._is_welcome)
        if surplus is not None and (peer := links.link_of(surplus)) is not None:
            peer.close("making room for a masternode")
        found = outbound.next_call(now_ms, self._is_welcome)
        if found is not None:
            slot, entry = found
            self._run(self._keep(slot, entry.record.address), str(entry.record.address))
        elif self._hints and self._is_bare():
            address = self._hints.pop()
            self._run(self._try(address), str(address))
        elif now_ms >= self._seed_due_ms and self._is_bare():
            self._seed_due_ms = now_ms + SEED_AGAIN_MS
            for seed in self._seeds:
                self._run(self._ask_seed(seed), str(seed))
        if now_ms >= self._ask_due_ms:
            self._ask_due_ms = now_ms + ASK_MS
            links.ask_for_addresses()
        links.introduce()
        if now_ms >= self._write_due_ms:
            self._write_due_ms = now_ms + WRITE_MS
            links.memory.set_anchors(outbound.anchors(lambda n: links.link_of(n) is not None))
            links.memory.write()

    async def _keep(self, slot: Slot, address: PeerAddress) -> None:
        """One call of a chosen node, and its link as long as it lasts."""
        node_id, book = slot.node_id, self._links.memory.book
        try:
            peer = await self._caller.call(address, node_id)
            if not await peer.settled:
                raise CallFailed(peer.close_reason)
            book.linked(node_id, None if peer.session is None else peer.session.masternode)
            if slot.role is Role.FEELER:
                peer.close("only looking who is there")
                return
            linked_ms = self._now_ms()
            await peer.finished
            if self._now_ms() - linked_ms < SHORT_LINK_MS:
                raise CallFailed(peer.close_reason)
        except CallFailed as error:
            self.log.debug("no link with {address}: {why}", address=address, why=str(error))
            staked = self._outbound.is_staked_node(node_id)
            book.failed(node_id, self._now_ms(), self._rng, staked)
        finally:
            self._outbound.release(node_id)

    async def _try(self, address: PeerAddress) -> None:
        """One call of an address whose node is not known yet."""
        try:
            await self._caller.call(address)
        except CallFailed as error:
            self.log.debug("no link with {address}: {why}", address=address, why=str(error))

    async def _ask_seed(self, seed: PeerAddress) -> None:
        try:
            hosts = await self._resolve(seed.host)
        except DNSLookupError as error:
            self.log.info("DNS seed {seed}: {why}", seed=seed.host, why=str(error))
            return
        self.log.info("DNS seed {seed} names {count} nodes", seed=seed.host, count=len(hosts))
        hints = {PeerAddress(host, seed.port): None for host in hosts}
        fresh = [hint for hint in hints if hint not in self._hints]
        self._hints += self._rng.sample(fresh, min(len(fresh), MAX_HINTS))
        del self._hints[:-MAX_HINTS]

    def _is_bare(self) -> bool:
        return sum(not peer.inbound for peer in self._links.up()) < BARE_LINKS

    def _is_welcome(self, node_id: bytes, host: bytes) -> bool:
        links = self._links
        if node_id == links.local.node_id or links.is_settled(node_id):
            return False
        if links.refusal(node_id, host) is not None:
            return False
        if not is_public(host):
            return True
        group = address_group(host)
        return all(peer.inbound or address_group(peer.host) != group for peer in links.up())

    def _run(self, work: Coroutine[Deferred[Any], Any, None], what: str) -> None:
        call = ensureDeferred(work)
        self._calls[call] = None
        call.addErrback(self._ended, what)
        call.addBoth(lambda _: self._calls.pop(call, None))

    def _ended(self, failure: Failure, what: str) -> None:
        if not isinstance(failure.value, CancelledError):
            self.log.failure("{what} failed", failure, what=what)

    def _now_ms(self) -> int:
        return int(self._caller.clock.seconds() * 1000)
