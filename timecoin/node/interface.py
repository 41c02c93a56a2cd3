"""What a node offers its users: the wallet's coins followed, and all JSON-RPC methods composed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.internet.posixbase import PosixReactorBase

from timecoin.chain.commit import BlockConnected
from timecoin.chain.loading import SetLoaded
from timecoin.crypto.vrf import vrf_public
from timecoin.finality.events import StatusChanged
from timecoin.masternodes.events import MasternodeAwake, MasternodeSilent
from timecoin.metrics.meters import Meters
from timecoin.node.catalog import MESSAGES
from timecoin.node.config import NodeConfig
from timecoin.node.desk import Desk
from timecoin.node.log.output import LogOutput
from timecoin.node.metering import Surroundings, bytes_in, expose
from timecoin.node.node import Node
from timecoin.node.vitals import NodeVitals
from timecoin.node.wiring import observe
from timecoin.p2p import messages as p2p_messages
from timecoin.p2p.address import PeerAddress
from timecoin.p2p.service import PeerService
from timecoin.rpc.catalog import NodeParts, make_catalog
from timecoin.rpc.methods.network import OwnIdentity
from timecoin.rpc.ports import Submit
from timecoin.rpc.service import RpcService, RpcSettings
from timecoin.wallet.keystore import Keystore
from timecoin.wallet.service import WalletService
from timecoin.wallet.wallet import Wallet

MESSAGE_NAMES = p2p_messages.NAMES | {kind: known.type.__name__ for kind, known in MESSAGES.items()}
"""What ``getpeerinfo`` calls each kind of frame."""


@dataclass(frozen=True, slots=True)
class Around:
    """What the interface shows of a node besides its core, and its way in."""

    submit: Submit
    meters: Meters
    vitals: NodeVitals
    store_path: Path
    log_output: LogOutput | None
    """None: twistd was given another observer, and nothing of it is known here."""


def follow_coins(node: Node, keystore: Keystore) -> Wallet:
    """The wallet of ``keystore`` on the node's chain, told of everything that happens from now."""
    wallet = Wallet(keystore, node.genesis.chain_id, node.chain, node.wallet_rows)

    def on_status(change: StatusChanged) -> None:
        wallet.on_status(change.txid, change.status, node.pool.get(change.txid))

    def on_block(connected: BlockConnected) -> None:
        wallet.on_block(connected)
        for tx in wallet.unstaking.waiting():
            node.submit(tx)  # refused until the masternode has let its stake go

    observe(node, SetLoaded, lambda _: wallet.begin_anew())
    observe(node, BlockConnected, on_block)
    observe(node, StatusChanged, on_status)
    return wallet


def restore_coins(node: Node, wallet: Wallet) -> None:
    """Tell ``wallet`` of what waited when the node stopped; the machines have restored it."""
    waiting = []
    for txid in node.pool.txids():
        tx, known = node.pool.get(txid), node.finality.status(txid)
        if tx is not None and known is not None:
            waiting.append((tx, known.status))
    wallet.restore(waiting)


def rpc_service(
    node: Node,
    wallet: WalletService,
    peers: PeerService,
    config: NodeConfig,
    around: Around,
    reactor: PosixReactorBase,
    wall: IReactorTime,
    stop: Callable[[], None],
) -> RpcService:
    """The JSON-RPC interface of ``node`` and its metrics; ``stop`` ends the process in order.

    ``wall`` is the time of day, ``reactor`` how long things take.
    """
    catalog = make_catalog(
        NodeParts(
            clock=reactor,
            wall=wall,
            genesis=node.genesis,
            views=node.views,
            addresses=node.addresses,
            pool=node.pool,
            pool_limits=config.pool_limits,
            finality=node.finality,
            finality_params=node.finality_params,
            consensus=node.consensus,
            evidence=node.evidence,
            sync=node.sync,
            peers=peers,
            peer_control=peers,
            message_names=MESSAGE_NAMES,
            identity=OwnIdentity(
                agent=peers.agent,
                node_id=peers.node_id,
                voting_pubkey=node.voting_pubkey,
                vrf_pubkey=None if node.identity is None else vrf_public(node.identity.vrf_seed),
                listening=lambda: [PeerAddress(config.listen_host, peers.listen_port)],
            ),
            wallet=wallet,
            submit=around.submit,
            desk=Desk(node),
            heartbeats=node.masternodes,
            heartbeat_rows=node.heartbeat_rows,
            own_rows=node.wallet_rows,
            running=lambda: not node.driver.stopped,
            vitals=around.vitals,
            log=None if around.log_output is None else around.log_output.levels,
            size_on_disk=lambda: bytes_in(around.store_path),
            stop=stop,
        )
    )
    observe(node, StatusChanged, catalog.waiters.on_status)
    observe(node, StatusChanged, catalog.feeds.on_status)
    observe(node, BlockConnected, catalog.feeds.on_block)
    observe(node, MasternodeAwake, catalog.presences.on_awake)
    observe(node, MasternodeSilent, catalog.presences.on_silent)
    if catalog.earnings is not None:
        observe(node, BlockConnected, catalog.earnings.on_block)

    def log_lines() -> Mapping[str, int]:
        return {} if around.log_output is None else around.log_output.lines

    exposition = expose(
        node,
        around.meters,
        Surroundings(
            clock=wall,
            pool_limits=config.pool_limits,
            message_names=MESSAGE_NAMES,
            links=peers.figures,
            store_path=around.store_path,
            vitals=around.vitals,
            rpc=lambda: service,
            problems=catalog.reports.problems,
            log_lines=log_lines,
        ),
    )
    service = RpcService(
        reactor,
        _settings(config),
        catalog.groups,
        streams=catalog.streams,
        status=catalog.reports.status,
        health=catalog.reports.health,
        metrics=exposition.render,
        on_call=around.meters.calls.add,
    )
    return service


def _settings(config: NodeConfig) -> RpcSettings:
    rpc = config.rpc
    return RpcSettings(
        bind=rpc.bind,
        logins=rpc.logins,
        cookie_path=rpc.cookie_path,
        allowed=rpc.allowed,
        whitelist=rpc.whitelist,
        tls=rpc.tls,
    )
