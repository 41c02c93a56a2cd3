"""What a node offers its users: the wallet's coins followed, and all JSON-RPC methods composed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.internet.posixbase import PosixReactorBase

from timecoin.chain.commit import BlockConnected
from timecoin.finality.events import StatusChanged
from timecoin.node.build import Node
from timecoin.node.catalog import MESSAGES
from timecoin.node.config import NodeConfig
from timecoin.node.wiring import observe
from timecoin.p2p import messages as p2p_messages
from timecoin.p2p.address import PeerAddress
from timecoin.p2p.service import PeerService
from timecoin.params import Network
from timecoin.rpc.audit import Audit
from timecoin.rpc.blocks import BlockReader
from timecoin.rpc.condition import Condition
from timecoin.rpc.lookup import Lookup
from timecoin.rpc.methods.addresses import AddressMethods
from timecoin.rpc.methods.agreement import AgreementMethods
from timecoin.rpc.methods.chain import ChainMethods
from timecoin.rpc.methods.control import ControlMethods
from timecoin.rpc.methods.finality import FinalityMethods, FinalityWait
from timecoin.rpc.methods.masternodes import MasternodeMethods
from timecoin.rpc.methods.mempool import MempoolMethods
from timecoin.rpc.methods.network import NetworkMethods, OwnIdentity
from timecoin.rpc.methods.transactions import TransactionMethods
from timecoin.rpc.methods.wallet import WalletMethods
from timecoin.rpc.reports import Reports
from timecoin.rpc.service import RpcService, RpcSettings, TlsFiles
from timecoin.rpc.waiters import FinalityWaiters
from timecoin.wallet.keystore import Keystore
from timecoin.wallet.service import WalletService
from timecoin.wallet.wallet import Wallet

MESSAGE_NAMES = p2p_messages.NAMES | {kind: known.type.__name__ for kind, known in MESSAGES.items()}
"""What ``getpeerinfo`` calls each kind of frame."""

MESSAGE_NAMES = p2p_messages.NAMES | {kind: known.type.__name__ for kind, known in MESSAGES.items()}


def follow_coins(node: Node, keystore: Keystore) -> Wallet:
    """The wallet of ``keystore`` on the node's chain, told of everything that happens from now."""
    wallet = Wallet(keystore, node.genesis.chain_id, node.chain)

    def on_status(change: StatusChanged) -> None:
        wallet.on_status(change.txid, change.status, node.pool.get(change.txid))

    observe(node, BlockConnected, wallet.on_block)
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
    store_path: Path,
    reactor: PosixReactorBase,
    stop: Callable[[], None],
) -> RpcService:
    """The JSON-RPC interface of ``node``; ``stop`` ends the process in order."""
    views, finality, genesis = node.views, node.finality, node.genesis
    network = Network(genesis.network)
    condition = Condition(
        reactor, genesis.slot_ms, views, finality, node.sync, lambda: not node.driver.stopped
    )
    waiters = FinalityWaiters()
    observe(node, StatusChanged, waiters.on_status)
    wait = FinalityWait(reactor, finality, waiters)
    lookup = Lookup(genesis, views, node.pool)
    identity = OwnIdentity(
        agent=peers.agent,
        node_id=peers.node_id,
        voting_pubkey=node.voting_pubkey,
        listening=lambda: [PeerAddress(config.listen_host, peers.listen_port)],
    )
    groups = (
        ControlMethods(reactor, stop),
        AddressMethods(network),
        ChainMethods(
            genesis,
            views,
            BlockReader(genesis, views, lookup, reactor),
            Audit(views, reactor),
            finality,
            condition,
            lambda: _bytes_in(store_path),
        ),
        TransactionMethods(views, lookup, finality, condition, node.submit, wallet.wallet),
        FinalityMethods(views, finality, wait),
        MempoolMethods(node.pool, config.pool_limits, finality, reactor),
        WalletMethods(wallet, network, node.submit, condition, wait),
        AgreementMethods(
            genesis, views, node.pool, finality, node.finality_params, node.consensus, condition
        ),
        NetworkMethods(identity, peers, node.sync, views, condition, MESSAGE_NAMES),
        MasternodeMethods(network, identity, peers, views),
    )
    reports = Reports(network, views, node.pool, finality, peers, condition)
    return RpcService(
        reactor, _settings(config), groups, status=reports.status, health=reports.health
    )


def _settings(config: NodeConfig) -> RpcSettings:
    rpc = config.rpc
    return RpcSettings(
        bind=rpc.bind,
        logins=rpc.logins,
        cookie_path=rpc.cookie_path,
        allowed=rpc.allowed,
        whitelist=rpc.whitelist,
        tls=None if rpc.tls_paths is None else TlsFiles(*rpc.tls_paths),
    )


def _bytes_in(directory: Path) -> int:
    """Size of the files in ``directory``; one that has just gone counts nothing."""
    total = 0
    for path in directory.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
