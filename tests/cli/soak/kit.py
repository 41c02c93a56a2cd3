"""Nodes that say what a test wants, without sockets and without waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from timecoin.cli.soak.reading import Reading
from timecoin.cli.soak.target import Target
from timecoin.client.blocking import BlockingClient, RpcCallError, RpcUnreachable

INF = float("inf")
SLOT_S = 10.0

TEMPLATE = """\
timecoin_height {height}
timecoin_slot_seconds 10
timecoin_tip_age_seconds 1
timecoin_peers{{direction="inbound"}} 1
timecoin_peers{{direction="outbound"}} 1
timecoin_problem{{kind="tip"}} 0
timecoin_problem{{kind="disk"}} {disk}
process_start_time_seconds {started}
process_resident_memory_bytes {rss}
process_cpu_seconds_total {cpu}
timecoin_peer_bytes_total{{direction="sent"}} {sent}
timecoin_peer_bytes_total{{direction="received"}} 0
timecoin_pool_pending 0
timecoin_log_lines_total{{level="info"}} 100
timecoin_log_lines_total{{level="error"}} {errors}
timecoin_log_lines_total{{level="critical"}} 0
timecoin_finality_seconds_bucket{{le="0.1"}} {final}
timecoin_finality_seconds_bucket{{le="+Inf"}} {final}
timecoin_block_delay_seconds_bucket{{le="1.0"}} {height}
timecoin_block_delay_seconds_bucket{{le="+Inf"}} {height}
"""


@dataclass
class PlantedNode:
    """A node in perfect health; ``plant`` changes it as time passes."""

    name: str
    now_s: Callable[[], float]
    plant: Callable[[PlantedNode, float], None] = lambda node, now_s: None
    height: int | None = None
    frozen_at: int | None = None
    rss: float = 100e6
    cpu_percent: float = 2.0
    errors: int = 0
    disk: int = 0
    started: float = 1_000.0
    away: bool = False
    fork_from: int | None = None
    lost: set[str] = field(default_factory=set)
    payments: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)
    refuses: bool = False
    never_final: bool = False
    never_archives: bool = False

    def tip(self) -> int:
        grown = int(self.now_s() / SLOT_S) + 5
        return grown if self.frozen_at is None else min(grown, self.frozen_at)

    def get(self, path: str) -> tuple[int, bytes]:
        self.plant(self, self.now_s())
        if self.away:
            raise RpcUnreachable(f"{self.name}: nobody listens")
        text = TEMPLATE.format(
            height=self.tip(),
            disk=self.disk,
            started=self.started,
            rss=self.rss,
            cpu=self.cpu_percent / 100 * self.now_s(),
            sent=1_000 * self.now_s(),
            errors=self.errors,
            final=len(self.payments),
        )
        return 200, text.encode()

    def call(self, method: str, params: Any) -> Any:
        if self.away:
            raise RpcUnreachable(f"{self.name}: nobody listens")
        match method, params:
            case "getblockhash", [height]:
                fork = self.fork_from is not None and height >= self.fork_from
                return f"{'f' if fork else 'a'}{height}"
            case "getblock", [height, 1]:
                archived = [] if self.never_archives else self.payments
                return {"tx": [f"reward{height}", *archived]}
            case "getnewaddress", _:
                return "address"
            case "sendtoaddress", _:
                if self.refuses:
                    raise RpcCallError(-4, "the wallet is read-only")
                txid = f"tx{next(self.numbers)}"
                self.payments.append(txid)
                return txid
            case "waittransactionfinality", _:
                if self.never_final:
                    raise RpcCallError(-11, "not final")
                return {"finalized": True}
            case "gettransactionfinality", [txid]:
                if txid in self.lost:
                    raise RpcCallError(-5, "No such transaction")
                return {"finalized": True}
        raise AssertionError(method)

    def close(self) -> None:
        """As a client."""


class PlantedTarget(Target):
    """A target whose client is a :class:`PlantedNode`."""

    node: PlantedNode

    def client(self, timeout_s: float = 1.0) -> BlockingClient:
        return self.node  # type: ignore[return-value]


def target_of(node: PlantedNode) -> Target:
    """The target that leads to ``node``."""
    target = PlantedTarget(node.name, f"http://{node.name}/", "user", "password")
    object.__setattr__(target, "node", node)
    return target


def reading(at_s: float, node: str = "a", **changed: Any) -> Reading:
    """A reading of a node in perfect health."""
    values: dict[str, Any] = {
        "height": int(at_s / SLOT_S),
        "slot_s": SLOT_S,
        "tip_age_s": 1.0,
        "peers": 2,
        "problems": (),
        "started_s": 1_000.0,
        "rss_bytes": 100e6,
        "cpu_s": at_s * 0.02,
        "traffic_bytes": at_s * 1_000,
        "pool_pending": 0,
        "log_errors": 0,
        "finality": {0.1: 0.0, INF: 0.0},
        "block_delay": {1.0: 0.0, INF: 0.0},
        "scrape_ms": 3.0,
    }
    return Reading(node=node, at_s=at_s, **{**values, **changed})
