"""One running node: its parts, made in the order in which they need each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from timecoin import params
from timecoin.chain.addresses import AddressViews
from timecoin.chain.commit import Chain
from timecoin.chain.headers import HeaderChain
from timecoin.chain.history import History
from timecoin.chain.loading import Loader
from timecoin.chain.prune import Pruner
from timecoin.chain.registry import Registry
from timecoin.chain.views import ChainViews
from timecoin.consensus.machine import Consensus
from timecoin.consensus.ports import Ports
from timecoin.consensus.seat import ConsensusSettings, Identity
from timecoin.driver import Driver
from timecoin.evidence.machine import EvidencePool
from timecoin.finality import events as finality_events
from timecoin.finality.machine import Finality
from timecoin.gossip.machine import Gossip
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.memo import SpendMemo
from timecoin.ledger.transaction import Transaction
from timecoin.machine import Machine, Restore, Start
from timecoin.masternodes import events as masternode_events
from timecoin.masternodes.changes import Leave
from timecoin.masternodes.machine import Masternodes
from timecoin.masternodes.own import OwnMasternode
from timecoin.mempool.entry import Admission, Verdict
from timecoin.mempool.exchange import Exchange
from timecoin.mempool.policy import PoolLimits
from timecoin.mempool.pool import Pool
from timecoin.node.catalog import KIND_OF, Owner
from timecoin.node.router import Messenger, Router
from timecoin.node.runtime import Runtime
from timecoin.p2p.ports import Network
from timecoin.quorum.tally import has_quorum
from timecoin.signal import Signals
from timecoin.store.chainstore import EngineChainStore
from timecoin.store.heartbeatstore import HeartbeatStore
from timecoin.store.historystore import EngineHistoryStore
from timecoin.store.journalstore import JournalStore
from timecoin.store.keys import JOURNAL
from timecoin.store.loadstore import EngineLoadStore
from timecoin.store.schema import claim_store
from timecoin.store.walletstore import WalletStore
from timecoin.sync.machine import Sync

VERIFIED_SIGNATURES = 50_000
"""Signatures remembered as good: several blocks' worth."""
CHECKED_SPENDS = 100_000
"""Transactions whose structure, witnesses and fee need no second look."""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What a node is told at start, cut down to what its core needs."""

    genesis: Genesis
    identity: Identity | None = None
    """The keys of a masternode; None only follows."""
    pool: PoolLimits = field(default_factory=PoolLimits)
    finality: params.FinalityParams = field(default_factory=params.FinalityParams)
    address_index: bool = True
    snapshot_sync: bool = False
    """Start from the set of unspent outputs of a recent block instead of from all blocks."""
    prune: int = 0
    """Keep the bodies of so many newest blocks; 0 keeps all."""
    checkpoints: tuple[tuple[int, bytes], ...] = ()
    """Heights and block hashes that history has to pass through."""
    joins_by_itself: bool = True
    """Ask to join the active set when the chain would take this masternode."""


class Node:
    """The parts of one running node. Others read its views and write through its methods."""

    def __init__(self, settings: NodeSettings, runtime: Runtime) -> None:
        genesis = settings.genesis
        claim_store(runtime.engine, genesis.hash)
        self.verified = runtime.verified
        verify = self.verified.check
        store = EngineChainStore(runtime.engine, settings.address_index)
        self.journal = journal = JournalStore(runtime.engine, runtime.offload)
        self.genesis = genesis
        self.finality_params = settings.finality
        key = None if settings.identity is None else settings.identity.key
        self.identity = settings.identity
        self.voting_pubkey = None if key is None else key.public
        self.memo = memo = SpendMemo(CHECKED_SPENDS)
        self.chain = Chain(genesis, store, verify, memo)
        self.views = ChainViews(self.chain, store)
        self.addresses = AddressViews(store)
        self.wallet_rows = WalletStore(runtime.engine)
        self.pool_limits = settings.pool
        self.pool = Pool(self.chain, settings.pool, genesis.chain_id, verify, memo)
        self.exchange = Exchange(self._find_body)
        self.finality = Finality(
            chain_id=genesis.chain_id,
            params=settings.finality,
            chain=self.chain,
            pool=self.pool,
            find=self.exchange.find,
            key=key,
            rng=runtime.rng("finality"),
            verify=verify,
        )
        self.evidence = EvidencePool(genesis.chain_id, self.chain, verify)
        registry = Registry(self.chain, genesis, verify)
        self.heartbeat_rows = heartbeats = HeartbeatStore(runtime.engine)
        identity = settings.identity
        self.masternodes = Masternodes(
            chain_id=genesis.chain_id,
            timing=params.HEARTBEAT_TIMING[params.Network(genesis.network)],
            chain=registry,
            own=None
            if identity is None
            else OwnMasternode(
                identity.key,
                identity.vrf_seed,
                genesis.chain_id,
                registry,
                settings.joins_by_itself,
            ),
            rows=heartbeats,
            clock_offsets=lambda: _clock_offsets(runtime.network),
            has_quorum=has_quorum,
            rng=runtime.rng("masternodes"),
            verify=verify,
            draw=runtime.draw,
        )
        self.consensus = Consensus(
            ConsensusSettings(
                chain_id=genesis.chain_id,
                slot_ms=genesis.slot_ms,
                timing=params.CONSENSUS_TIMING[params.Network(genesis.network)],
            ),
            Ports(
                self.chain,
                self.finality,
                self.evidence,
                self.masternodes.membership,
                self.exchange.find,
                verify,
            ),
            settings.identity,
        )
        self.headers = HeaderChain(
            genesis, store, verify, self.chain.tip, dict(settings.checkpoints)
        )
        self.loader = Loader(
            genesis,
            self.chain,
            self.headers,
            EngineLoadStore(runtime.engine, settings.address_index),
            wanted=settings.snapshot_sync,
        )
        # Who prunes has no use for old blocks; anybody else who lacks them fetches them.
        self.history = (
            None
            if settings.prune
            else History(genesis, EngineHistoryStore(runtime.engine, store, settings.address_index))
        )
        self.sync = Sync(
            self.chain,
            self.headers,
            self.exchange.find,
            self.loader if settings.snapshot_sync else None,
            self.history,
        )
        self.pruner = Pruner(store, settings.prune) if settings.prune else None
        self.signals = Signals()
        messenger = Messenger(runtime.network, self.is_staked)
        self.gossip = Gossip(KIND_OF)
        self.driver = Driver(
            runtime.clock, journal, messenger, self.gossip, self.signals, runtime.on_crash
        )
        machines: dict[Owner, Machine] = {
            Owner.GOSSIP: self.gossip,
            Owner.EXCHANGE: self.exchange,
            Owner.FINALITY: self.finality,
            Owner.CONSENSUS: self.consensus,
            Owner.SYNC: self.sync,
            Owner.EVIDENCE: self.evidence,
            Owner.MASTERNODES: self.masternodes,
        }
        router = Router(self.driver, messenger, self.gossip, machines, runtime.decode)
        runtime.network.set_listener(router)
        runtime.network.set_height(self.chain.tip_height)

    def start(self) -> None:
        """Restore the machines from the journal and set them going."""
        rows = tuple(
            (table, key, value) for table in JOURNAL for key, value in self.journal.rows(table)
        )
        for machine in (self.finality, self.evidence, self.consensus, self.masternodes):
            self.driver.deliver(machine, Restore(rows))
        for machine in (self.consensus, self.masternodes):
            self.driver.deliver(machine, Start())

    def stop(self) -> None:
        """Stop all machines; nothing leaves the node any more."""
        self.driver.stop()

    def submit(self, tx: Transaction) -> Verdict:
        """Take a transaction from this node's own users."""
        verdict = self.pool.submit(tx, self.driver.now_ms())
        if verdict.admission is Admission.ACCEPTED:
            self.driver.deliver(self.finality, finality_events.Submitted(tx))
        return verdict

    def leave(self, leave: Leave) -> None:
        """Bring a masternode's leave to the next proposer."""
        self.driver.deliver(self.masternodes, masternode_events.SubmitLeave(leave))

    def join_with(self, way: bytes, at_once: bool = True) -> None:
        """Let this node's own masternode join, or change its stake; see ``JoinWith``."""
        self.driver.deliver(self.masternodes, masternode_events.JoinWith(way, at_once))

    def is_staked(self, masternode: bytes) -> bool:
        """Whether a voting key has weight in the tip's active set."""
        active = self.chain.active_set(self.chain.tip_height)
        return active is not None and masternode in active.weights

    def _find_body(self, wtxid: bytes) -> Transaction | None:
        return self.pool.by_wtxid(wtxid) or self.chain.transaction(wtxid)


def _clock_offsets(network: Network) -> tuple[int, ...]:
    """How far the clocks of linked peers are ahead: one voice for each peer."""
    offsets = (peer.clock_offset_ms for peer in network.peers())
    return tuple(offset for offset in offsets if offset is not None)
