"""A simulated validator that strangers reach over the real link layer, in virtual time.

The other validators are linked with it by the simulator's network. Everybody else is a
:class:`Caller`: bytes into a ``Peer``, through frames, allowances, bans and the address book, to
the machines of the whole node.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.p2p.wire import FakeRemote, FakeTransport, Rows, local_end, make_links
from timecoin.codec import Wire, decode, encode
from timecoin.ledger.transaction import Transaction
from timecoin.node.catalog import KIND_OF, KIND_RULES, MESSAGES
from timecoin.p2p.allowance import RateLimits
from timecoin.p2p.framing import Frame, FrameBuffer
from timecoin.p2p.links import LinkLimits
from timecoin.p2p.messages import GOODBYE, PING, PONG, Goodbye, Ping, Pong
from timecoin.p2p.peer import Peer
from timecoin.p2p.ports import LinkListener, PeerInfo
from timecoin.sim import network as network_module
from timecoin.sim.invariants import Invariants
from timecoin.sim.network import SimNetwork, SimPort
from timecoin.sim.world import World, WorldSettings
from timecoin.sync.messages import GetHeaders, Headers

LIMITS = LinkLimits(rates=RateLimits(kinds=KIND_RULES))
VICTIM = 0
FIRST_NONCE = 1_000


class Front(SimPort):
    """Links of the simulator with validators, real ones with all others."""

    def __init__(
        self,
        network: SimNetwork,
        node_id: bytes,
        masternode: bytes | None,
        skew_ms: int,
        rows: Rows,
    ) -> None:
        """``rows``: what the link layer remembers of earlier lives."""
        super().__init__(network, node_id, masternode, skew_ms)
        self.links = make_links(network.clock, local_end(node_id), LIMITS, rows)

    def set_listener(self, listener: LinkListener) -> None:
        """The node hears of both kinds."""
        super().set_listener(listener)
        self.links.listener = listener

    def set_height(self, height: int) -> None:
        """Named in hellos."""
        self.links.height = height

    def send(self, peer: bytes, kind: int, payload: bytes) -> None:
        """To a validator, or to a caller."""
        if self.link_with(peer):
            super().send(peer, kind, payload)
        else:
            self.links.send(peer, kind, payload)

    def blame(self, peer: bytes, points: int, reason: str) -> None:
        """Validators are counted, callers pay."""
        if self.link_with(peer):
            super().blame(peer, points, reason)
        else:
            self.links.blame(peer, points, reason)

    def praise(self, peer: bytes, points: int) -> None:
        """As :meth:`blame`."""
        if not self.link_with(peer):
            self.links.praise(peer, points)

    def peers(self) -> list[PeerInfo]:
        """All of them."""
        return [*super().peers(), *self.links.infos()]


class Wired(FakeTransport):
    """Hands every write to its caller a moment later, and closes when it is told to."""

    caller: Caller

    def write(self, data: bytes) -> None:
        """Record, and let the other end read."""
        super().write(data)
        self.caller.clock.callLater(0, self.caller.read, data)

    def loseConnection(self) -> None:
        """The other end closes too."""
        super().loseConnection()
        self.caller.clock.callLater(0, self.caller.gone)

    def abortConnection(self) -> None:
        """At once."""
        super().abortConnection()
        self.caller.clock.callLater(0, self.caller.gone)


class Caller(FakeRemote):
    """Somebody who has called the victim: answers pings and keeps what arrives."""

    def __init__(
        self,
        siege: Siege,
        number: int,
        host: str,
        inbound: bool = True,
        expected: bytes | None = None,
    ) -> None:
        """``number`` makes the node key, ``host`` is where it calls from, or was called at.

        ``expected``: the node that the victim wanted to reach there.
        """
        self.clock = siege.world.clock
        self.frames: list[Frame] = []
        self.answers_pings = True
        self.closed = False
        self._reading = FrameBuffer(siege.links.compressible)
        self._reading.allow_large()
        peer = Peer(siege.links, inbound, expected)
        super().__init__(peer, number.to_bytes(32, "big"), FIRST_NONCE + number, host)

    def make_transport(self, host: str) -> FakeTransport:
        """One that writes to this caller."""
        transport = Wired(self.key, host)
        transport.caller = self
        return transport

    def read(self, data: bytes) -> None:
        """Bytes from the victim."""
        self._reading.append(data)
        while (frame := self._reading.next()) is not None:
            self.frames.append(frame)
            if not self.closed:
                self.react(frame)

    def react(self, frame: Frame) -> None:
        """Answer what was read."""
        if frame.kind == PING and self.answers_pings:
            ping = decode(frame.payload, Ping, 64)
            self.say(PONG, encode(Pong(ping.number, int(self.clock.seconds() * 1000))))

    def gone(self) -> None:
        """The connection is lost."""
        if not self.closed:
            self.closed = True
            self.hang_up()

    def tell(self, message: Wire) -> None:
        """Say something above the link."""
        if not self.closed:
            self.say(KIND_OF[type(message)], encode(message))

    def got(self, kind: type[Wire]) -> list[Wire]:
        """All messages of that type that have arrived."""
        number = KIND_OF[kind]
        bound = MESSAGES[number].max_bytes
        return [decode(f.payload, kind, bound) for f in self.frames if f.kind == number]

    @property
    def last_words(self) -> str:
        """Why the victim ended the link; empty if it has not said."""
        words = [f.payload for f in self.frames if f.kind == GOODBYE]
        return decode(words[-1], Goodbye, 512).reason if words else ""


class Siege:
    """The world, and the victim's own link layer."""

    def __init__(self, case: SynchronousTestCase, users: int = 60) -> None:
        self.world = World(11, WorldSettings(nodes=4, users=users))
        self.invariants = Invariants(self.world)
        self.victim = self.world.nodes[VICTIM]
        rows = Rows()

        def port(
            network: SimNetwork, node_id: bytes, masternode: bytes | None, skew_ms: int
        ) -> SimPort:
            if node_id != self.victim.node_id:
                return SimPort(network, node_id, masternode, skew_ms)
            front = Front(network, node_id, masternode, skew_ms, rows)
            self.links = front.links
            return front

        case.patch(network_module, "SimPort", port)
        self.world.start()
        self.links.staked = self.victim.running.is_staked
        self.world.run(4)

    def restart(self) -> None:
        """The victim's process ends, and begins on what it has brought to rest."""
        old = self.links
        self.victim.kill()
        old.close_all("the process ends")
        self.victim.start()
        self.links.staked = self.victim.running.is_staked

    def call(self, number: int, host: str = "5.5.5.5") -> Caller:
        """A TCP connection from ``host``."""
        return Caller(self, number, host)

    def link(self, number: int, host: str = "5.5.5.5") -> Caller:
        """A link with a stranger."""
        caller = self.call(number, host)
        caller.greet()
        self.world.run(0.1)
        return caller

    def score(self, caller: Caller) -> int:
        """What is held against it."""
        return self.links.memory.reputation.score(caller.node_id, self.world.now_ms())

    def is_banned(self, caller: Caller) -> bool:
        """Whether its key is refused."""
        return self.links.memory.bans.get(caller.node_id, self.world.now_ms()) is not None

    def is_linked(self, caller: Caller) -> bool:
        """Whether its link is up."""
        return self.links.link_of(caller.node_id) is not None

    def pay(self) -> Transaction:
        """A payment through the victim; the world does not move."""
        tx = self.world.users.payment()
        assert tx is not None
        assert self.world.submit(VICTIM, tx)
        return tx


class SiegeCase(SynchronousTestCase):
    """An honest follower is linked; after each test the victim has to be as useful as before."""

    def setUp(self) -> None:
        self.siege = Siege(self)
        self.world = self.siege.world
        self.honest = self.siege.link(1, "7.7.7.7")

    def assert_unharmed(self) -> None:
        """A payment is final everywhere, a block comes, the honest follower is answered."""
        siege, world = self.siege, self.world
        tx, height = siege.pay(), siege.victim.running.chain.tip_height
        world.run(2)
        final = [n.number for n in world.nodes if (n.number, tx.txid) in world.final_ms]
        self.assertEqual(final, [0, 1, 2, 3])
        world.run(2 * world.settings.slot_ms / 1000)
        self.assertGreater(siege.victim.running.chain.tip_height, height)
        request = len(self.honest.frames)
        self.honest.tell(GetHeaders(request, 1, 10))
        world.run(1)
        answers = [m for m in self.honest.got(Headers) if isinstance(m, Headers)]
        (answer,) = (m for m in answers if m.request == request)
        self.assertGreater(len(answer.items), 0)
        self.assertTrue(siege.is_linked(self.honest))
        self.assertGreaterEqual(siege.score(self.honest), 0)
        siege.invariants.check_end()
