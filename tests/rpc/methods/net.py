"""Whole nodes under a virtual clock, each with a wallet and its JSON-RPC server.

Node 0's wallet owns the first genesis coin, of 1,000 TIME; ``ledger_kit.user(i)`` owns the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.support import ledger_kit
from tests.wallet.kit import entropy
from timecoin.chain.commit import BlockConnected
from timecoin.consensus.seat import Identity
from timecoin.crypto.keys import SALT_BYTES, VerifiedCache
from timecoin.crypto.vrf import vrf_public
from timecoin.finality.events import StatusChanged
from timecoin.ledger.connect import Coin
from timecoin.ledger.genesis import Allocation, Genesis
from timecoin.ledger.transaction import Transaction
from timecoin.masternodes.events import MasternodeAwake, MasternodeSilent
from timecoin.node.build import build_node
from timecoin.node.desk import Desk
from timecoin.node.interface import MESSAGE_NAMES, follow_coins
from timecoin.node.log.levels import Levels, LevelSetting
from timecoin.node.node import NodeSettings
from timecoin.node.runtime import Runtime
from timecoin.node.wiring import observe
from timecoin.p2p.address import PeerAddress
from timecoin.p2p.bans import Ban, Bans, Subject
from timecoin.params import Network
from timecoin.rpc.auth import Caller, Gate, Logins
from timecoin.rpc.catalog import NodeParts, make_catalog
from timecoin.rpc.jsonvalues import dumps, loads
from timecoin.rpc.methods.control import HelpMethods
from timecoin.rpc.methods.network import OwnIdentity
from timecoin.rpc.server import JsonRpcServer, ServerLimits, _Serving
from timecoin.rpc.throttle import LoginThrottle
from timecoin.sim.clock import SimClock
from timecoin.sim.network import LinkQuality, SimNetwork
from timecoin.sim.trace import Trace
from timecoin.store.memory import MemoryEngine
from timecoin.wallet.derive import Branch
from timecoin.wallet.keystore import Keystore
from timecoin.wallet.service import WalletService

TIME = ledger_kit.TIME
SLOT_S = 10
SYNC_S = 0.001
STEP_S = 0.005
T = TypeVar("T")

CALLER = Caller("test")


class RpcFailure(Exception):
    """An error object in place of a result."""

    def __init__(self, code: int, message: str, data: object) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data


@dataclass
class FixedVitals:
    """What a healthy machine says; a test changes it."""

    needed_disk_bytes: int = 1_000
    stopped: list[str] = field(default_factory=list)
    offset_ms: int = 0
    free: int = 5_000

    def stopped_loops(self) -> list[str]:
        return self.stopped

    def clock_offset_ms(self) -> int:
        return self.offset_ms

    def free_disk_bytes(self) -> int:
        return self.free


def node_id(number: int) -> bytes:
    """The peer identity of node ``number``."""
    return bytes((number + 1,)) * 32


def run_now(work: Callable[[], T]) -> Deferred[T]:
    """In place of a thread."""
    return maybeDeferred(work)


class Control:
    """Takes the operator's word on peers, and keeps what it was told to call or let go."""

    def __init__(self, clock: SimClock) -> None:
        self._clock = clock
        self._bans = Bans()
        self.added: list[PeerAddress] = []
        self.tried: list[PeerAddress] = []
        self.linked: list[bytes | str] = []

    def _now_ms(self) -> int:
        return int(self._clock.seconds() * 1000)

    def add_node(self, address: PeerAddress) -> bool:
        """Keep."""
        if address in self.added:
            return False
        self.added.append(address)
        return True

    def remove_node(self, address: PeerAddress) -> bool:
        """Forget."""
        if address not in self.added:
            return False
        self.added.remove(address)
        return True

    def try_node(self, address: PeerAddress) -> None:
        """Keep."""
        self.tried.append(address)

    def disconnect(self, who: bytes | str) -> bool:
        """Forget."""
        if who not in self.linked:
            return False
        self.linked.remove(who)
        return True

    def ban(self, subject: Subject, until_ms: int) -> bool:
        """As the peers' service does, without links."""
        if self._bans.get(subject, self._now_ms()) is not None:
            return False
        self._bans.add(subject, self._now_ms(), until_ms, "by the operator")
        return True

    def unban(self, subject: Subject) -> bool:
        """The same."""
        return self._bans.remove(subject)

    def bans(self) -> list[Ban]:
        """The same."""
        return self._bans.standing(self._now_ms())


class RpcNode:
    """One node of a :class:`RpcNet`."""

    def __init__(self, net: RpcNet, number: int, keystore: Keystore) -> None:
        self._net = net
        self.number = number
        self.stopped = 0
        self.vitals = FixedVitals()
        self.levels = Levels(LevelSetting())
        key = ledger_kit.validator(number)
        self.node_id = node_id(number)
        self.control = Control(net.clock)
        self.engine = MemoryEngine()
        self._port = net.network.attach(self.node_id, key.public)

        def offload(work: Callable[[], None], done: Callable[[], None]) -> None:
            def finish() -> None:
                work()
                done()

            net.clock.callLater(SYNC_S, finish)

        self.node = build_node(
            NodeSettings(net.genesis, Identity(key, ledger_kit.vrf_seed(number))),
            Runtime(
                clock=net.clock,
                rng=lambda purpose: Random(f"{number}/{purpose}"),
                network=self._port,
                engine=self.engine,
                offload=offload,
                verified=net.verified,
                on_crash=net.crashed,
            ),
        )
        self.wallet = follow_coins(self.node, keystore)
        self.wallet_service = WalletService(self.wallet, entropy(), net.clock, run_now)
        self.catalog = make_catalog(self._parts(key.public))
        observe(self.node, StatusChanged, self.catalog.waiters.on_status)
        observe(self.node, StatusChanged, self.catalog.feeds.on_status)
        observe(self.node, BlockConnected, self.catalog.feeds.on_block)
        observe(self.node, MasternodeAwake, self.catalog.presences.on_awake)
        observe(self.node, MasternodeSilent, self.catalog.presences.on_silent)
        assert self.catalog.earnings is not None
        observe(self.node, BlockConnected, self.catalog.earnings.on_block)
        gate = Gate(Logins([], {}), LoginThrottle(net.clock))
        self.server = JsonRpcServer(net.clock, gate, ServerLimits())
        self.server.publish(HelpMethods(self.server.methods), *self.catalog.groups)

    def _parts(self, voting_pubkey: bytes) -> NodeParts:
        node = self.node
        return NodeParts(
            clock=self._net.clock,
            wall=self._net.clock,
            genesis=self._net.genesis,
            views=node.views,
            addresses=node.addresses,
            pool=node.pool,
            pool_limits=self._net.settings.pool,
            finality=node.finality,
            finality_params=node.finality_params,
            consensus=node.consensus,
            evidence=node.evidence,
            sync=node.sync,
            peers=self._port,
            peer_control=self.control,
            message_names=MESSAGE_NAMES,
            identity=OwnIdentity(
                agent="timecoin/test",
                node_id=self.node_id,
                voting_pubkey=voting_pubkey,
                vrf_pubkey=vrf_public(ledger_kit.vrf_seed(self.number)),
                listening=lambda: [PeerAddress("127.0.0.1", 8001)],
            ),
            wallet=self.wallet_service,
            submit=node.submit,
            desk=Desk(node),
            heartbeats=node.masternodes,
            heartbeat_rows=node.heartbeat_rows,
            own_rows=node.wallet_rows,
            running=lambda: not node.driver.stopped,
            vitals=self.vitals,
            log=self.levels,
            size_on_disk=lambda: 12_345,
            stop=self._stop,
        )

    def _stop(self) -> None:
        self.stopped += 1

    def start(self) -> None:
        """Set it going; its links come up."""
        self.node.start()
        self._port.start()

    def cut(self) -> None:
        """Take it off the network."""
        for other in self._net.nodes:
            if other is not self:
                self._net.network.cut(self.node_id, other.node_id)

    def ask(self, method: str, *params: object, serving: _Serving | None = None) -> Deferred[bytes]:
        """Start a call; the answer's bytes come as virtual time passes.

        ``serving``: the HTTP request that it came by, which a test may end.
        """
        return self._ask(method, params, serving)

    def ask_named(self, method: str, **named: object) -> Deferred[bytes]:
        """The same, with parameters by name."""
        return self._ask(method, named, None)

    def _ask(self, method: str, params: object, serving: _Serving | None) -> Deferred[bytes]:
        body = dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        work = Deferred.fromCoroutine(self.server.answer(body, CALLER, serving))
        if serving is not None:
            serving.work = work  # type: ignore[assignment]
        return work

    def call(self, method: str, *params: object, **named: object) -> Any:
        """The result of a method, as a client reads it; :class:`RpcFailure` for an error.

        Time passes until the answer is there.
        """
        return self._net.answer(self._ask(method, named or list(params), None))


class RpcNet:
    """``count`` validators of equal weight on perfect lines."""

    def __init__(self, case: SynchronousTestCase, count: int = 1, running: int = 0) -> None:
        """``running``: how many of them are started (all by default)."""
        folder = Path(mkdtemp(dir="."))
        keystores = [
            Keystore.create(
                folder / f"{number}.wallet",
                Network.DEVNET,
                bytes((number,)) * 32,
                1_700_000_000_000,
            )
            for number in range(count)
        ]
        purse = Allocation(keystores[0].take(Branch.RECEIVE), ledger_kit.COIN_UNITS)
        start = ledger_kit.genesis(count, slot_ms=SLOT_S * 1000)
        self.genesis: Genesis = msgspec.structs.replace(
            start, allocations=(purse, *start.allocations)
        )
        self.settings = NodeSettings(self.genesis)
        self.clock = SimClock(ledger_kit.GENESIS_TIME_MS / 1000)
        self.verified = VerifiedCache(bytes(SALT_BYTES), 10_000)
        quality = LinkQuality(latency_ms=5, jitter_ms=0, loss_per_mille=0)
        self.network = SimNetwork(self.clock, Random(1), quality, Trace())
        self.nodes = [RpcNode(self, number, store) for number, store in enumerate(keystores)]
        for node in self.nodes[: running or count]:
            node.start()
        case.addCleanup(self._stop)
        self.run(1)

    def _stop(self) -> None:
        for node in self.nodes:
            node.node.stop()

    def crashed(self, error: Exception) -> None:
        """A machine raised: the test fails."""
        raise error

    @property
    def now_ms(self) -> int:
        """Virtual Unix time."""
        return int(self.clock.seconds() * 1000)

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.clock.run_until(self.clock.seconds() + seconds)

    def run_to_height(self, height: int) -> None:
        """Let time pass until the first node has that many blocks."""
        for _ in range(100 * height):
            if self.nodes[0].node.chain.tip_height >= height:
                return
            self.run(SLOT_S / 10)
        raise AssertionError(f"no block {height}")

    def answer(self, waiting: Deferred[bytes]) -> Any:
        """What a started call answers, letting time pass until it does."""
        for _ in range(int(1_000 / STEP_S)):
            if waiting.called:
                break
            self.run(STEP_S)
        return result_of(waiting)

    def coin(self, number: int) -> Coin:
        """The genesis coin of ``ledger_kit.user(number)``."""
        return ledger_kit.coin(self.genesis, number + 1)

    def payment(self, number: int, units: int = TIME, **options: int) -> Transaction:
        """``user(number)`` pays its coin's ``units`` to the next user, and has the change."""
        return ledger_kit.pay(
            self.genesis.chain_id,
            ledger_kit.user(number),
            self.coin(number),
            ledger_kit.user(number + 1),
            units,
            **options,
        )


def result_of(waiting: Deferred[bytes]) -> Any:
    """The result in an answer that has come; :class:`RpcFailure` for an error object."""
    found: list[bytes | Failure] = []
    waiting.addBoth(found.append)
    if not found:
        raise AssertionError("the call has not answered")
    if isinstance(found[0], Failure):
        found[0].raiseException()
    answer = loads(found[0])
    assert isinstance(answer, dict)
    if "error" in answer:
        error = answer["error"]
        raise RpcFailure(error["code"], error["message"], error.get("data"))
    return answer["result"]


class RpcTestCase(SynchronousTestCase):
    """Asks one node, or several."""

    count = 1

    def setUp(self) -> None:
        self.net = RpcNet(self, self.count)
        self.node = self.net.nodes[0]
        self.call = self.node.call

    def refused(self, code: int, method: str, *params: object, **named: object) -> RpcFailure:
        """The error of a call, which must have this code."""
        return self.refused_by(self.node, code, method, *params, **named)

    def refused_by(
        self, node: RpcNode, code: int, method: str, *params: object, **named: object
    ) -> RpcFailure:
        """The same, asked of one of several nodes."""
        failure = self.assertRaises(RpcFailure, node.call, method, *params, **named)
        assert isinstance(failure, RpcFailure)
        self.assertEqual(failure.code, code, failure.message)
        return failure

    def assert_keys(self, shown: object, keys: Sequence[str]) -> None:
        """All these keys stand in an object."""
        assert isinstance(shown, dict)
        self.assertEqual([key for key in keys if key not in shown], [])
