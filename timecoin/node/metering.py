"""Joins a node to its metrics: what has to be counted, and where the other figures come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from twisted.internet.interfaces import IReactorTime

from timecoin import __version__
from timecoin.chain.commit import BlockConnected
from timecoin.consensus import events as consensus_events
from timecoin.finality import parameters as finality_bounds
from timecoin.finality.events import Status, StatusChanged
from timecoin.gossip.items import MAX_ITEMS
from timecoin.mempool.policy import PoolLimits
from timecoin.metrics.exposition import Exposition
from timecoin.metrics.meters import Meters
from timecoin.metrics.ports import Holding, RpcFigures, Sources
from timecoin.node.node import CHECKED_SPENDS, VERIFIED_SIGNATURES, Node
from timecoin.node.vitals import NodeVitals
from timecoin.node.wiring import observe
from timecoin.p2p.traffic import LinkFigures


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the metrics read besides the node's core."""

    clock: IReactorTime
    pool_limits: PoolLimits
    message_names: Mapping[int, str]
    links: Callable[[], LinkFigures]
    store_path: Path
    vitals: NodeVitals
    rpc: Callable[[], RpcFigures]
    problems: Callable[[], Mapping[str, bool]]
    log_lines: Callable[[], Mapping[str, int]]


def count_events(node: Node, clock: IReactorTime, meters: Meters) -> None:
    """Let ``meters`` hear what ``node`` does from now on."""

    def on_status(change: StatusChanged) -> None:
        if change.status is Status.FINAL:
            latency_ms = node.finality.latency_ms(change.txid)
            if latency_ms is not None:
                meters.finality.add(latency_ms / 1000)

    def on_block(connected: BlockConnected) -> None:
        if not node.sync.active:
            slot_time_ms = node.genesis.slot_ms * connected.block.header.slot
            meters.block_delay.add(max(0.0, clock.seconds() - slot_time_ms / 1000))

    def on_round(started: consensus_events.RoundStarted) -> None:
        meters.view_changes += started.round > 0

    def on_refusal(_: consensus_events.ProposalRefused) -> None:
        meters.proposals_refused += 1

    def on_equivocation(_: consensus_events.Equivocation) -> None:
        meters.equivocations += 1

    observe(node, StatusChanged, on_status)
    observe(node, BlockConnected, on_block)
    observe(node, consensus_events.RoundStarted, on_round)
    observe(node, consensus_events.ProposalRefused, on_refusal)
    observe(node, consensus_events.Equivocation, on_equivocation)


def expose(node: Node, meters: Meters, around: Surroundings) -> Exposition:
    """The metrics of ``node``."""
    return Exposition(
        Sources(
            version=__version__,
            genesis=node.genesis,
            clock=around.clock,
            voting_pubkey=node.voting_pubkey,
            views=node.views,
            pool=node.pool,
            pool_limits=around.pool_limits,
            finality=node.finality,
            consensus=node.consensus,
            sync=node.sync,
            driver=node.driver,
            verified=node.verified,
            journal=node.journal,
            rpc=around.rpc,
            links=around.links,
            message_names=around.message_names,
            holdings=lambda: holdings(node, around.pool_limits),
            size_on_disk=lambda: bytes_in(around.store_path),
            free_disk=around.vitals.free_disk_bytes,
            clock_offset_ms=around.vitals.clock_offset_ms,
            problems=around.problems,
            log_lines=around.log_lines,
        ),
        meters,
    )


def holdings(node: Node, limits: PoolLimits) -> Iterator[Holding]:
    """The bounded collections of ``node``."""
    pool, finality = node.pool.stats(), node.finality.statistics()
    yield Holding("pool", pool.pending, limits.max_pending)
    yield Holding("orphans", pool.orphans, limits.max_orphans)
    yield Holding("verified_signatures", len(node.verified), VERIFIED_SIGNATURES)
    yield Holding("checked_spends", len(node.memo), CHECKED_SPENDS)
    yield Holding("gossip", node.gossip.items_held, MAX_ITEMS)
    yield Holding("locks", finality.locks, finality_bounds.MAX_LOCKS)
    yield Holding("contests", finality.contests, finality_bounds.MAX_CONTESTS)
    yield Holding("running_polls", finality.running_polls, finality_bounds.MAX_RUNNING_POLLS)


def bytes_in(directory: Path) -> int:
    """Size of the files in ``directory``; one that has just gone counts nothing."""
    total = 0
    for path in directory.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
