"""What became of the last transactions, and how long they took, by this node's clock."""

from __future__ import annotations

from collections import OrderedDict, deque

from timecoin.finality.events import Status
from timecoin.finality.parameters import LATENCY_WINDOW, MAX_HISTORY


class History:
    """The last latencies, when the last transactions became final, which ended in vain."""

    def __init__(self) -> None:
        self._window: deque[int] = deque(maxlen=LATENCY_WINDOW)
        self._times: OrderedDict[bytes, tuple[int, int]] = OrderedDict()
        self._ended: OrderedDict[bytes, Status] = OrderedDict()
        self.finalized = 0
        self.rejected = 0

    def add_final(self, txid: bytes, seen_ms: int, final_ms: int) -> None:
        """``txid`` was seen and became final at these times."""
        self._window.append(final_ms - seen_ms)
        self._times[txid] = (seen_ms, final_ms)
        self.finalized += 1
        if len(self._times) > MAX_HISTORY:
            self._times.popitem(last=False)

    def end(self, txid: bytes, status: Status) -> None:
        """``txid`` has left the pool without a block: rejected or expired."""
        self._ended[txid] = status
        self._ended.move_to_end(txid)
        self.rejected += status is Status.REJECTED
        if len(self._ended) > MAX_HISTORY:
            self._ended.popitem(last=False)

    def times(self, txid: bytes) -> tuple[int, int] | None:
        """When ``txid`` was seen and when it became final, if that is remembered."""
        return self._times.get(txid)

    def ended(self, txid: bytes) -> Status | None:
        """How ``txid`` ended without a block, if that is remembered."""
        return self._ended.get(txid)

    def latencies_ms(self) -> tuple[int, ...]:
        """The last latencies, oldest first."""
        return tuple(self._window)

    def percentile_ms(self, percent: int) -> int | None:
        """The nearest-rank percentile of the last latencies; None without any."""
        if not self._window:
            return None
        rank = max(1, -(-percent * len(self._window) // 100))
        return sorted(self._window)[rank - 1]
