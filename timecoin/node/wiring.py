"""Who hears what: every signal is joined to its listeners on this page, and nowhere else.

transaction:  submit -> finality -> (certified, final) -> consensus takes it into a block
block:        consensus | sync -> chain.commit -> pool, finality, consensus, sync, evidence
offence:      consensus | finality -> evidence -> consensus takes it into a block
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from timecoin.chain.commit import BlockConnected, ForkFound
from timecoin.chain.loading import SetLoaded
from timecoin.consensus import events as consensus_events
from timecoin.evidence import events as evidence_events
from timecoin.finality import events as finality_events
from timecoin.machine import CatchUpChanged, NewTip
from timecoin.masternodes import events as masternode_events
from timecoin.mempool.exchange import BodiesFetched, BodiesWanted
from timecoin.node.node import Node
from timecoin.p2p.ports import Network
from timecoin.signal import Signal
from timecoin.sync import events as sync_events

S = TypeVar("S", bound=Signal)


def wire(node: Node, network: Network) -> None:
    """Join the signals of ``node``."""
    deliver, signals = node.driver.deliver, node.signals

    def publish(outcome: BlockConnected | ForkFound | None) -> None:
        if outcome is not None:
            signals.publish(outcome)

    def commit(decided: consensus_events.Decided) -> None:
        publish(node.chain.commit(decided.checked, decided.certificate))

    def follow(synced: sync_events.BlockSynced) -> None:
        # A crash may lose the latest: peers have them. What this node signs is synced, and with it
        # everything before.
        publish(node.chain.commit(synced.checked, synced.certificate, durable=False))

    def connected(block: BlockConnected) -> None:
        network.set_height(block.block.height)
        if node.pruner is not None:
            node.pruner.connected(block.block.height)
        deliver(node.finality, finality_events.Connected(block.block, block.transactions))
        for machine in (node.consensus, node.sync, node.evidence):
            deliver(machine, NewTip())
        deliver(node.masternodes, masternode_events.Connected(block.block))

    def headers_synced(found: sync_events.HeadersSynced) -> None:
        node.headers.append(found.checked)
        deliver(node.sync, sync_events.HeadersStored())

    def set_wanted(wanted: sync_events.SetWanted) -> None:
        node.loader.begin(wanted.height)
        deliver(node.sync, sync_events.SetBegun())

    def coins_synced(page: sync_events.CoinsSynced) -> None:
        whole = node.loader.add(page.after, page.coins, page.last)
        if whole:
            network.set_height(node.chain.tip_height)
            deliver(node.consensus, NewTip())
            signals.publish(SetLoaded(node.chain.tip_height))
        deliver(node.sync, sync_events.CoinsStored(whole))

    def history_synced(page: sync_events.HistorySynced) -> None:
        assert node.history is not None
        node.history.add(page.blocks)
        deliver(node.sync, sync_events.HistoryStored())

    def undo_wanted(_: sync_events.UndoWanted) -> None:
        assert node.history is not None
        node.history.index()
        deliver(node.sync, sync_events.HistoryStored())

    def fetched(bodies: BodiesFetched) -> None:
        deliver(node.consensus, bodies)
        deliver(node.sync, bodies)

    def wanted(bodies: BodiesWanted) -> None:
        deliver(node.exchange, bodies)

    def catching_up(change: sync_events.CatchingUp) -> None:
        for machine in (node.finality, node.consensus, node.masternodes):
            deliver(machine, CatchUpChanged(change.active))

    def clock_changed(change: masternode_events.ClockChanged) -> None:
        deliver(node.consensus, consensus_events.ClockJudged(change.sound))

    def second_certificate(found: sync_events.SecondCertificate) -> None:
        publish(node.chain.record_fork(found.first, found.second))

    def safety_broken(proof: consensus_events.SafetyBroken) -> None:
        publish(node.chain.record_fork(proof.first, proof.second))

    def equivocation(found: consensus_events.Equivocation) -> None:
        evidence = found.evidence()
        if evidence is not None:
            deliver(node.evidence, evidence_events.Witnessed(evidence))

    def conflicting_votes(found: finality_events.ConflictingVotesSeen) -> None:
        deliver(node.evidence, evidence_events.Witnessed(found.evidence))

    signals.subscribe(consensus_events.Decided, commit)
    signals.subscribe(sync_events.BlockSynced, follow)
    signals.subscribe(BlockConnected, connected)
    signals.subscribe(BodiesFetched, fetched)
    signals.subscribe(BodiesWanted, wanted)
    signals.subscribe(sync_events.HeadersSynced, headers_synced)
    signals.subscribe(sync_events.SetWanted, set_wanted)
    signals.subscribe(sync_events.CoinsSynced, coins_synced)
    signals.subscribe(sync_events.HistorySynced, history_synced)
    signals.subscribe(sync_events.UndoWanted, undo_wanted)
    signals.subscribe(sync_events.CatchingUp, catching_up)
    signals.subscribe(masternode_events.ClockChanged, clock_changed)
    signals.subscribe(sync_events.SecondCertificate, second_certificate)
    signals.subscribe(consensus_events.SafetyBroken, safety_broken)
    signals.subscribe(consensus_events.Equivocation, equivocation)
    signals.subscribe(finality_events.ConflictingVotesSeen, conflicting_votes)


def observe(node: Node, kind: type[S], listener: Callable[[S], None]) -> None:
    """Let an observer outside the node (RPC, log, simulator) hear the signals of class ``kind``."""
    node.signals.subscribe(kind, listener)
