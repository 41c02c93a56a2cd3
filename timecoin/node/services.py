"""A node as Twisted services, in the order in which they start.

Store, node, peers, wallet, what watches the loops, rpc; the last tells systemd, where it listens.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from random import Random
from typing import TextIO, TypeVar

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from timecoin import __version__
from timecoin.consensus.seat import Identity
from timecoin.crypto.keys import SALT_BYTES, VerifiedCache
from timecoin.ledger.transaction import Transaction
from timecoin.mempool.entry import Verdict
from timecoin.metrics.loopdelay import LoopProbe
from timecoin.metrics.meters import Meters
from timecoin.node.build import build_node
from timecoin.node.catalog import KIND_RULES
from timecoin.node.clocks import WallClock
from timecoin.node.config import NodeConfig
from timecoin.node.interface import Around, follow_coins, restore_coins, rpc_service
from timecoin.node.keyfiles import load_or_create_node_seed
from timecoin.node.log.levels import Levels
from timecoin.node.log.output import LogOutput
from timecoin.node.logs import NodeLog
from timecoin.node.metering import count_events
from timecoin.node.node import VERIFIED_SIGNATURES, Node, NodeSettings
from timecoin.node.offload import ThreadOffload
from timecoin.node.preflight import STORE_DIRECTORY, Prepared, StartError
from timecoin.node.progress import ReindexProgress, SyncProgress
from timecoin.node.recording.recorder import build_recorded, open_recording
from timecoin.node.runtime import Runtime
from timecoin.node.sdnotify import systemd_service
from timecoin.node.vitals import NodeVitals, watch_loops
from timecoin.node.walletfile import create_wallet
from timecoin.p2p.allowance import RateLimits
from timecoin.p2p.links import LinkLimits
from timecoin.p2p.resolver import resolver
from timecoin.p2p.service import PeerService, PeerSettings
from timecoin.store.peerstore import PeerStore
from timecoin.store.reindex import is_interrupted, reindex
from timecoin.store.rocks import RocksEngine
from timecoin.store.schema import claim_store
from timecoin.wallet.sealing import Sealing
from timecoin.wallet.service import WalletService

AGENT = f"timecoin/{__version__}"
ENTROPY_BYTES = 32

T = TypeVar("T")

_store_log = Logger("timecoin.store")
_node_log = Logger("timecoin.node")


class StoreService(Service):
    """Holds the data directory open; the last to stop."""

    def __init__(self, engine: RocksEngine, offload: ThreadOffload, where: str) -> None:
        self.setName("store")
        self._engine = engine
        self._offload = offload
        self._where = where

    def startService(self) -> None:
        """Say where the data is."""
        super().startService()
        _store_log.info("opened {where}", where=self._where)

    def stopService(self) -> Deferred[None]:
        """Wait for what is being written, then close."""
        super().stopService()
        return self._offload.drained().addCallback(self._close)

    def _close(self, _: None) -> None:
        self._engine.close()
        _store_log.info("written and closed")


class CoreService(Service):
    """Runs the machines."""

    def __init__(
        self,
        node: Node,
        validator_id: str | None,
        clock: IReactorTime,
        on_restored: Callable[[], None],
    ) -> None:
        """``on_restored`` is called once the machines have read what the last life left."""
        self.setName("node")
        self._node = node
        self._validator_id = validator_id
        self._clock = clock
        self._on_restored = on_restored

    def startService(self) -> None:
        """Restore and start the machines."""
        super().startService()
        node = self._node
        _node_log.info(
            "{role}, genesis {genesis}, height {height}",
            role="follows the chain"
            if node.voting_pubkey is None
            else f"validator {self._validator_id} {node.voting_pubkey.hex()}",
            genesis=node.genesis.hash.hex()[:16],
            height=node.chain.tip_height,
        )
        node.start()
        self._clock.callLater(0, self._on_restored)  # comes after the driver's own first turn

    def stopService(self) -> None:
        """Stop the machines."""
        super().stopService()
        self._node.stop()


def compose(
    config: NodeConfig,
    prepared: Prepared,
    reactor: PosixReactorBase,
    log_output: LogOutput | None,
    on_crash: Callable[[Exception], None],
    stop: Callable[[], None],
) -> list[IService]:
    """Open the data directory and make all services of a node.

    ``log_output`` is None when the log is not ours. ``on_crash`` hears of a fault in this program
    or on the disk: the node must end then; ``stop`` ends it in order.
    Raises what its parts raise when they cannot be made: see ``START_ERRORS`` in ``tap``.
    """
    genesis, keys = prepared.genesis.genesis, prepared.keys
    if prepared.lock is not None:
        # Only now: twistd has become the process that stays.
        prepared.lock.write_holder(f"process {os.getpid()} on {socket.gethostname()}")
    store_path = config.datadir / STORE_DIRECTORY
    engine = RocksEngine(store_path)
    prepared.genesis.install(config.datadir)
    if config.reindex or is_interrupted(engine):
        claim_store(engine, genesis.hash)
        reindex(engine, genesis, config.address_index, ReindexProgress(reactor, _terminal()).tell)
    meters, wall = Meters(), WallClock(reactor)
    offload = ThreadOffload(reactor, reactor.getThreadPool(), on_crash, meters.store_sync.add)
    peers = PeerService(
        reactor,
        PeerSettings(
            chain_id=genesis.chain_id,
            listen_host=config.listen_host,
            listen_port=config.listen_port,
            peers=config.peers,
            agent=AGENT,
            limits=LinkLimits(config.max_connections, RateLimits(kinds=KIND_RULES)),
            external=config.external,
            seeds=config.seeds,
            explore=config.discover,
        ),
        node_seed=load_or_create_node_seed(config.datadir, os.urandom),
        voting_key=None if keys is None else keys.voting_key,
        rng=_seeded("peers"),
        entropy=os.urandom,
        rows=PeerStore(engine),
        resolve=resolver(reactor),
        unix_s=wall.seconds,
    )
    settings = NodeSettings(
        genesis=genesis,
        identity=None if keys is None else Identity(keys.voting_key, keys.vrf_seed),
        pool=config.pool_limits,
        address_index=config.address_index,
        joins_by_itself=config.auto_join,
        checkpoints=config.checkpoints,
        snapshot_sync=config.snapshot_sync,
        prune=config.prune,
    )
    runtime = Runtime(
        clock=wall,
        rng=_seeded,
        network=peers,
        engine=engine,
        offload=offload,
        verified=VerifiedCache(os.urandom(SALT_BYTES), VERIFIED_SIGNATURES),
        on_crash=on_crash,
    )
    node = _build(settings, runtime, config)
    peers.set_staked(node.is_staked)
    levels = Levels(config.log_levels) if log_output is None else log_output.levels
    node_log = NodeLog(levels)
    node_log.attach(node)
    SyncProgress(node, reactor, _terminal())
    count_events(node, wall, meters)
    peers.setName("peers")
    probe = LoopProbe(reactor, meters.loop_delay)
    watchdog = watch_loops(reactor, node, probe, peers.figures)

    def submit(tx: Transaction) -> Verdict:
        verdict = node.submit(tx)
        node_log.submitted(tx, verdict)
        return verdict

    around = Around(
        submit=submit,
        meters=meters,
        vitals=NodeVitals(
            watchdog,
            config.datadir,
            config.min_disk_free_bytes,
            lambda: node.masternodes.clock_offset_ms,
        ),
        store_path=store_path,
        log_output=log_output,
    )
    wallet = follow_coins(
        node, prepared.wallet or create_wallet(config.datadir, config.network, os.environ)
    )
    wallet_service = WalletService(wallet, Sealing(os.urandom), reactor, _run_aside)
    systemd = systemd_service(
        reactor,
        os.environ,
        lambda: _status(node, peers),
        lambda: not watchdog.stopped_loops(),
    )
    return [
        StoreService(engine, offload, str(store_path)),
        CoreService(node, config.validator_id, reactor, lambda: restore_coins(node, wallet)),
        peers,
        wallet_service,
        probe,
        watchdog,
        rpc_service(node, wallet_service, peers, config, around, reactor, wall, stop),
        *(() if systemd is None else (systemd,)),
    ]


def _build(settings: NodeSettings, runtime: Runtime, config: NodeConfig) -> Node:
    """The node, recorded if the settings say so."""
    if config.record is None:
        return build_node(settings, runtime)
    try:
        file = open_recording(config.record)
    except OSError as error:
        raise StartError(f"cannot record into {config.record}: {error.strerror}") from error
    _node_log.info("recording into {path}", path=str(config.record))
    return build_recorded(settings, runtime, file, config.record_bytes)


def _status(node: Node, peers: PeerService) -> str:
    """What `systemctl status` shows."""
    return f"height {node.chain.tip_height}, {len(peers.peers())} peers"


def _terminal() -> TextIO | None:
    """The real stderr, which twistd may have replaced, if somebody looks at it."""
    stderr = sys.__stderr__
    return stderr if stderr is not None and stderr.isatty() else None


def _run_aside(work: Callable[[], T]) -> Deferred[T]:
    return deferToThread(work)


def _seeded(purpose: str) -> Random:
    """A generator for ``purpose`` that nobody can foretell."""
    return Random(f"{os.urandom(ENTROPY_BYTES).hex()}/{purpose}")
