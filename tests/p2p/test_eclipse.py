"""F26 in virtual time: a thousand addresses of one network besiege a node that restarts.

The node is whole: address book, outbound slots, explorer, doors and evictions, and behind them the
machines of a validator, whose payments have to become final all the while.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IReactorTime
from twisted.trial.unittest import SynchronousTestCase

from tests.p2p.records import host, record
from tests.p2p.siege import Caller, Siege
from tests.p2p.wire import CHAIN, EXPORTER
from timecoin.codec import encode
from timecoin.crypto.keys import SigningKey
from timecoin.p2p.address import PeerAddress
from timecoin.p2p.calling import CallFailed
from timecoin.p2p.explorer import Explorer
from timecoin.p2p.framing import Frame
from timecoin.p2p.links import Links
from timecoin.p2p.messages import (
    ADDRESSES,
    GET_ADDRESSES,
    HELLO,
    MAX_ADDRESSES,
    SERVICE_VALIDATOR,
    STAKE_PROOF,
    Addresses,
    Hello,
    StakeProof,
    stake_statement,
)
from timecoin.p2p.netgroup import address_group
from timecoin.p2p.outbound import ANCHOR_SLOTS, STAKED_SLOTS, Outbound
from timecoin.p2p.peer import Peer
from timecoin.p2p.records import AddressRecord
from timecoin.params import OUTBOUND_SLOTS, PROTOCOL_VERSION

HONEST, STAKED = 24, 3
"""Honest nodes of different networks; the last of them are staked."""
FOLLOWERS = 10
"""Honest ones that have called the victim."""
HOSTILE = 1_000
FIRST_HONEST, FIRST_FOLLOWER, FIRST_HOSTILE = 1_000, 2_000, 10_000
PORT = 24000
MINUTE = 60


class Townsman(Caller):
    """Somebody with a listening address, who tells of ``friends`` when asked."""

    friends: tuple[AddressRecord, ...] = ()
    voting_key: SigningKey | None = None

    def react(self, frame: Frame) -> None:
        """Also questions for addresses."""
        super().react(frame)
        if frame.kind == GET_ADDRESSES:
            self.tell_of_friends()

    def tell_of_friends(self) -> None:
        """All of them, page by page."""
        for start in range(0, len(self.friends), MAX_ADDRESSES):
            page = Addresses(self.friends[start : start + MAX_ADDRESSES])
            if not self.closed:
                self.say(ADDRESSES, encode(page))

    def greet(self) -> None:
        """A hello, and if it has a voting key the proof of it."""
        if self.closed:
            return
        self.secure()
        services = 0 if self.voting_key is None else SERVICE_VALIDATOR
        hello = Hello(CHAIN, PROTOCOL_VERSION, "town/1", PORT, 5, services, self.nonce)
        self.say(HELLO, encode(hello))
        if self.voting_key is not None:
            victim = self.peer._owner.local.node_id
            statement = stake_statement(CHAIN, self.node_id, victim, EXPORTER)
            proof = StakeProof(self.voting_key.public, self.voting_key.sign(statement))
            self.say(STAKE_PROOF, encode(proof))


class Town:
    """Who listens where; calls of the victim end here (in place of ``calling.Caller``)."""

    def __init__(self, siege: Siege) -> None:
        self.siege = siege
        self.clock: IReactorTime = siege.world.clock
        self.number_at: dict[str, int] = {}
        self.called: dict[bytes, Townsman] = {}
        """Whom the victim has called last, by node id."""
        self.hostile: tuple[AddressRecord, ...] = ()
        self.honest = tuple(self.settle(FIRST_HONEST + n, f"{20 + n}.1.1.1") for n in range(HONEST))

    @property
    def links(self) -> Links:
        """The victim's."""
        return self.siege.links

    def settle(self, number: int, at: str) -> AddressRecord:
        """A node listens at ``at``."""
        self.number_at[at] = number
        now_s = self.siege.world.now_ms() // 1000
        return record(number, at, PORT, now_s)

    async def call(self, address: PeerAddress, expected: bytes | None = None) -> Peer:
        """The victim calls: a connection after a moment, if somebody listens there."""
        pause: Deferred[None] = Deferred()
        self.clock.callLater(0.05, pause.callback, None)
        await pause
        number = self.number_at.get(address.host)
        if number is None:
            raise CallFailed("nobody listens")
        man = self.man(number, address.host, False, expected)
        self.called[man.node_id] = man
        self.clock.callLater(0.05, man.greet)
        return man.peer

    def man(self, number: int, at: str, inbound: bool, expected: bytes | None = None) -> Townsman:
        """One end of a connection with a node of the town, or with an attacker."""
        man = Townsman(self.siege, number, at, inbound, expected)
        man.friends = self.hostile if number >= FIRST_HOSTILE else self.honest
        if is_staked(number):
            man.voting_key = voting_key(number)
        return man


def is_staked(number: int) -> bool:
    return FIRST_HONEST + HONEST - STAKED <= number < FIRST_HONEST + HONEST


def voting_key(number: int) -> SigningKey:
    return SigningKey(b"\x5a" * 28 + number.to_bytes(4, "big"))


class EclipseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.siege = Siege(self)
        self.world = self.siege.world
        self.town = Town(self.siege)
        self.staked = {
            voting_key(number).public
            for number in range(FIRST_HONEST, FIRST_HONEST + HONEST)
            if is_staked(number)
        }
        self.explorer: Explorer | None = None
        for each in self.town.honest[:3]:
            self.siege.links.memory.book.add(each, b"seed")
        self.explore()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        assert self.explorer is not None
        self.explorer.stop()

    def explore(self) -> None:
        """The victim looks for nodes, as the peer service lets it at a start."""
        links, chance = self.siege.links, random.Random(3)
        # The members whose heartbeats this test does not play stay staked.
        is_member = self.siege.victim.running.is_staked
        links.staked = lambda key: key in self.staked or is_member(key)
        self.outbound = Outbound(links.memory.book, links.memory.anchors, links.staked, chance)

        def resolve(name: str) -> Deferred[list[str]]:
            return fail(DNSLookupError(name))

        self.explorer = Explorer(self.town, self.outbound, chance, (), resolve)  # type: ignore[arg-type]
        self.explorer.start()

    def restart(self) -> None:
        self.stop()
        self.siege.restart()
        self.explore()

    def outgoing(self) -> Iterator[Peer]:
        return (peer for peer in self.siege.links.up() if not peer.inbound)

    def is_hostile(self, peer: Peer) -> bool:
        return address_group(peer.host) == address_group(host("66.66.0.1"))

    def assert_open(self) -> None:
        """Eight links of the victim's choice, hostile at most one; a payment is final."""
        links = list(self.outgoing())
        self.assertEqual(len(links), OUTBOUND_SLOTS)
        self.assertLessEqual(sum(self.is_hostile(peer) for peer in links), 1)
        staked = sum(self.siege.links.is_staked(peer) for peer in links)
        self.assertGreaterEqual(staked, STAKED_SLOTS)
        groups = [address_group(peer.host) for peer in links]
        self.assertEqual(len(groups), len(dict.fromkeys(groups)))
        tx = self.siege.pay()
        self.world.run(2)
        final = [n.number for n in self.world.nodes if (n.number, tx.txid) in self.world.final_ms]
        self.assertEqual(final, [0, 1, 2, 3])

    def besiege(self, count: int) -> list[Townsman]:
        """So many attackers call in, one after the other, and tell of each other; half stay,
        the others wait to be called."""
        callers = []
        for n in range(count):
            at = f"66.66.{n // 250}.{n % 250 + 1}"
            if self.siege.links.lets_in(host(at)):
                man = self.town.man(FIRST_HOSTILE + n, at, inbound=True)
                man.greet()
                man.tell_of_friends()
                callers.append(man)
            self.world.run(0.2)
            if n % 2:
                callers[-1].gone()
        return callers

    def test_one_network_of_a_thousand_addresses(self) -> None:
        town, book = self.town, self.siege.links.memory.book
        followers = [
            town.man(FIRST_FOLLOWER + n, f"{80 + n}.2.2.2", inbound=True) for n in range(FOLLOWERS)
        ]
        for follower in followers:
            follower.greet()
        self.world.run(3 * MINUTE)
        self.assert_open()
        before = [peer.node_id for peer in self.outgoing()]

        town.hostile = tuple(
            town.settle(FIRST_HOSTILE + n, f"66.66.{n // 250}.{n % 250 + 1}")
            for n in range(HOSTILE)
        )
        callers = self.besiege(HOSTILE)
        self.assertGreater(len(callers), HOSTILE * 9 // 10)
        known = sum(entry.record.host[:2] == bytes((66, 66)) for entry in book.nodes())
        self.assertGreater(known, 0)
        self.assertEqual([peer.node_id for peer in self.outgoing()], before, "none was driven out")
        self.assertEqual([man.closed for man in followers], [False] * FOLLOWERS)
        self.assert_open()

        # Honest links break again and again, hostile ones never: attackers still get one place.
        for _ in range(8):
            for peer in [each for each in self.outgoing() if not self.is_hostile(each)][1::2]:
                assert peer.node_id is not None
                town.called[peer.node_id].gone()
            self.world.run(MINUTE / 2)
            self.assertLessEqual(sum(map(self.is_hostile, self.outgoing())), 1)
        self.world.run(MINUTE)
        self.assert_open()

        # The node restarts into the siege: its anchors are called first.
        lasting = [peer.node_id for peer in self.outgoing()]
        self.restart()
        self.assertEqual(list(self.siege.links.memory.anchors), lasting[:ANCHOR_SLOTS])
        self.besiege(HOSTILE // 4)
        self.assert_open()
        self.assertLessEqual({*lasting[:ANCHOR_SLOTS]}, {p.node_id for p in self.outgoing()})
        self.siege.invariants.check_end()
        hostile = sum(self.is_hostile(peer) for peer in self.outgoing())
        print(f"hostile: {known} addresses in the book, {hostile} of {OUTBOUND_SLOTS} slots")
