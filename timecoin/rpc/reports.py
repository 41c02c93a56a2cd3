"""What ``GET /status`` and ``GET /health`` say, to anybody and without a secret."""

from __future__ import annotations

from timecoin import __version__
from timecoin.chain.views import ChainViews
from timecoin.params import Network
from timecoin.rpc.condition import DEAD, Condition, Kind
from timecoin.rpc.ports import FinalityReader, PeerReader, PoolReader
from timecoin.rpc.rendering import Json


class Reports:
    """Both reports, from the same figures as the methods."""

    def __init__(
        self,
        network: Network,
        views: ChainViews,
        pool: PoolReader,
        finality: FinalityReader,
        peers: PeerReader,
        condition: Condition,
    ) -> None:
        self._network = network
        self._views = views
        self._pool = pool
        self._finality = finality
        self._peers = peers
        self._condition = condition

    def health(self) -> Json:
        """Whether it is well, and what is wrong.

        ``live``: its loops turn, else only a restart helps; ``ready``: it is healthy and does not
        catch up, so its word can be relied on.
        """
        problems = self._condition.problems()
        return {
            "healthy": not problems,
            "live": not any(problem.kind in DEAD for problem in problems),
            "ready": not problems and not self._condition.catching_up,
            "problems": [problem.text for problem in problems],
            "height": self._views.tip.height,
            "tip_age_ms": self._condition.tip_age_ms,
            "catching_up": self._condition.catching_up,
            "peers": len(self._peers.peers()),
        }

    def problems(self) -> dict[str, bool]:
        """Every kind of problem, and whether it is there now."""
        found = {problem.kind for problem in self._condition.problems()}
        return {kind.value: kind in found for kind in Kind}

    def status(self) -> Json:
        """One page about the node."""
        tip, pool, finality = self._views.tip, self._pool.stats(), self._finality.statistics()
        return {
            "version": __version__,
            "network": self._network.label,
            **self.health(),
            "bestblockhash": tip.hash.hex(),
            "slot": tip.slot,
            "mempool": {
                "pending": pool.pending,
                "certified": pool.certified,
                "bytes": pool.bytes,
            },
            "finality": {
                "finalized": finality.finalized,
                "p50_ms": finality.p50_ms,
                "p95_ms": finality.p95_ms,
            },
        }
