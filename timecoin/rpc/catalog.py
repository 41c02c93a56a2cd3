"""All methods of a node, made from its parts in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

from timecoin.chain.addresses import AddressViews
from timecoin.chain.views import ChainViews
from timecoin.finality.events import Status
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.transaction import Transaction
from timecoin.masternodes.ports import HeartbeatRows
from timecoin.mempool.policy import PoolLimits
from timecoin.p2p.ports import PeerControl
from timecoin.params import FinalityParams, Network
from timecoin.rpc.addressreader import AddressReader
from timecoin.rpc.audit import Audit
from timecoin.rpc.blocks import BlockReader
from timecoin.rpc.condition import Condition
from timecoin.rpc.earnings import Earnings
from timecoin.rpc.feeds import Feeds
from timecoin.rpc.feerate import FeeRate
from timecoin.rpc.lookup import Lookup
from timecoin.rpc.methods.addresses import AddressMethods
from timecoin.rpc.methods.agreement import AgreementMethods
from timecoin.rpc.methods.chain import ChainMethods
from timecoin.rpc.methods.control import ControlMethods
from timecoin.rpc.methods.finality import FinalityMethods, FinalityWait
from timecoin.rpc.methods.heartbeats import HeartbeatMethods
from timecoin.rpc.methods.history import HistoryMethods
from timecoin.rpc.methods.links import LinkMethods
from timecoin.rpc.methods.logs import LogMethods
from timecoin.rpc.methods.masternodes import MasternodeMethods
from timecoin.rpc.methods.mempool import MempoolMethods
from timecoin.rpc.methods.network import NetworkMethods, OwnIdentity
from timecoin.rpc.methods.outputs import OutputMethods
from timecoin.rpc.methods.passphrase import PassphraseMethods
from timecoin.rpc.methods.payments import PaymentMethods
from timecoin.rpc.methods.peering import PeeringMethods
from timecoin.rpc.methods.proofs import ProofMethods
from timecoin.rpc.methods.rawtransactions import RawTransactionMethods
from timecoin.rpc.methods.signing import SigningMethods
from timecoin.rpc.methods.staking import StakingMethods
from timecoin.rpc.methods.transactions import TransactionMethods
from timecoin.rpc.methods.wallet import WalletMethods
from timecoin.rpc.ports import (
    ConsensusReader,
    EvidenceReader,
    FinalityReader,
    HeartbeatReader,
    LogLevels,
    MasternodeDesk,
    PeerReader,
    PoolReader,
    Submit,
    SyncReader,
    Vitals,
)
from timecoin.rpc.presence import Presences
from timecoin.rpc.purse import Purse
from timecoin.rpc.reports import Reports
from timecoin.rpc.roster import Roster
from timecoin.rpc.subscriptions import Streams, Subscriptions
from timecoin.rpc.waiters import FinalityWaiters
from timecoin.wallet.ports import HistoryRows
from timecoin.wallet.service import WalletService


@dataclass(frozen=True, slots=True)
class NodeParts:
    """What a node consists of, as far as its users may see or move it."""

    clock: IReactorTime
    """How long things take."""
    wall: IReactorTime
    """The time of day."""
    genesis: Genesis
    views: ChainViews
    addresses: AddressViews
    pool: PoolReader
    pool_limits: PoolLimits
    finality: FinalityReader
    finality_params: FinalityParams
    consensus: ConsensusReader
    evidence: EvidenceReader
    sync: SyncReader
    peers: PeerReader
    peer_control: PeerControl
    message_names: Mapping[int, str]
    identity: OwnIdentity
    wallet: WalletService
    submit: Submit
    desk: MasternodeDesk
    heartbeats: HeartbeatReader
    heartbeat_rows: HeartbeatRows
    own_rows: HistoryRows
    """For what is counted of this node's own masternode."""
    running: Callable[[], bool]
    """Whether the loop that runs the machines still turns."""
    vitals: Vitals
    log: LogLevels | None
    """None: another program's log, whose levels nobody knows here."""
    size_on_disk: Callable[[], int]
    """Bytes of the store."""
    stop: Callable[[], None]
    """Ends the process in order."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """Method groups to publish, what ``/ws`` offers and the two reports; besides, what has to be
    told: ``waiters`` and ``feeds`` of every ``StatusChanged``, ``feeds`` of every new block."""

    groups: tuple[object, ...]
    reports: Reports
    waiters: FinalityWaiters
    streams: Streams
    feeds: Feeds
    presences: Presences
    earnings: Earnings | None


def make_catalog(parts: NodeParts) -> Catalog:
    """Everything that the JSON-RPC interface of a node offers."""
    network = Network(parts.genesis.network)
    views, finality, clock = parts.views, parts.finality, parts.clock
    condition = Condition(
        parts.wall,
        parts.genesis.slot_ms,
        views,
        finality,
        parts.sync,
        parts.running,
        lambda: _is_accused(parts),
        parts.vitals,
    )
    lookup = Lookup(parts.genesis, views, parts.pool)
    waiters = FinalityWaiters()
    wait = FinalityWait(clock, finality, waiters)
    purse = Purse(parts.wallet, network, parts.submit, condition)
    fee_rate = FeeRate(parts.pool, parts.pool_limits)
    by_address = AddressReader(clock, parts.addresses, views, lookup, parts.pool, finality)
    presences = Presences(clock)
    own = parts.identity.voting_pubkey
    earnings = None if own is None else Earnings(clock, parts.own_rows, views, own)
    roster = Roster(
        parts.genesis,
        views,
        parts.identity,
        parts.peers,
        parts.heartbeats,
        condition,
        (presences, earnings),
    )
    groups = (
        ControlMethods(clock, parts.stop),
        LogMethods(parts.log),
        AddressMethods(network),
        ChainMethods(
            parts.genesis,
            views,
            BlockReader(parts.genesis, views, lookup, clock),
            Audit(views, clock),
            finality,
            condition,
            parts.size_on_disk,
        ),
        TransactionMethods(views, lookup, finality, condition, parts.submit, parts.wallet.wallet),
        RawTransactionMethods(
            views,
            lookup,
            parts.pool,
            fee_rate,
            condition,
            clock,
        ),
        OutputMethods(views, lookup, parts.pool),
        FinalityMethods(views, finality, wait),
        ProofMethods(parts.genesis.chain_id, views, finality),
        MempoolMethods(parts.pool, parts.pool_limits, finality, clock),
        WalletMethods(purse, by_address),
        PaymentMethods(purse, fee_rate, wait),
        LinkMethods(purse),
        HistoryMethods(purse, views, lookup, by_address, clock),
        SigningMethods(purse, lookup, parts.genesis.chain_id),
        PassphraseMethods(purse, condition, lambda: _waiting(parts)),
        AgreementMethods(
            parts.genesis,
            views,
            parts.pool,
            finality,
            parts.finality_params,
            parts.consensus,
            parts.evidence,
            condition,
        ),
        NetworkMethods(
            parts.identity, parts.peers, parts.sync, views, condition, parts.message_names
        ),
        PeeringMethods(parts.peer_control, network, parts.wall),
        StakingMethods(purse, by_address, parts.identity, fee_rate, parts.desk),
        MasternodeMethods(roster, views),
        HeartbeatMethods(clock, views, roster, parts.heartbeats, parts.heartbeat_rows, condition),
    )
    reports = Reports(network, views, parts.pool, finality, parts.peers, condition)
    streams = Streams(network, Subscriptions())
    feeds = Feeds(streams.subscriptions, parts.pool, lookup)
    return Catalog(groups, reports, waiters, streams, feeds, presences, earnings)


def _waiting(parts: NodeParts) -> Iterator[tuple[Transaction, Status]]:
    """The pool's transactions and their status."""
    for txid in parts.pool.txids():
        entry, known = parts.pool.entry(txid), parts.finality.status(txid)
        if entry is not None and known is not None:
            yield entry.tx, known.status


def _is_accused(parts: NodeParts) -> bool:
    """Whether this node's own voting key has signed twice."""
    own = parts.identity.voting_pubkey
    return any(evidence.signer == own for evidence in parts.evidence.held)
