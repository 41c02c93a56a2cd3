"""Lines that come and go: payments are back at once, and lost connections leave nothing (F3)."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from tests.live.lines import LinesCase
from tests.support.long import unless_long

SIDES = (0, 1), (2, 3, 4)
"""None has a quorum alone."""
FLAPS = ((1.0, 1.0, 30), (9.0, 6.0, 5))
"""Seconds down and up, and how often: links outlive the first ones, and not the second ones."""
SAMPLES, SAMPLE_S = 20, 0.1


class FlapTests(LinesCase):
    """The sockets of each process are counted before and after."""

    skip = unless_long("three minutes of five processes")

    def test_lost_connections_leave_nothing(self) -> None:
        self._fund_all()
        self._start_payers()
        self._wait_for_payments()
        usual = [0] * len(self.network.nodes)
        for _ in range(SAMPLES):
            usual = list(map(max, usual, self._sockets()))
            time.sleep(SAMPLE_S)
        for down_s, up_s, times in FLAPS:
            disconnects = self._disconnects()
            for _ in range(times):
                self.switch.part(*SIDES)
                time.sleep(down_s)
                self.switch.heal()
                time.sleep(up_s)
            start = time.monotonic()
            self._wait_for_payments()
            paid_s = time.monotonic() - start
            self._wait_whole()
            self._wait_for_sockets(usual)
            print(
                f"{down_s} s down, {up_s} s up, {times} times: {self._disconnects() - disconnects} "
                f"links lost; all pay in {paid_s:.1f} s; sockets {usual}, now {self._sockets()}",
                file=sys.stderr,
            )
        self.assertGreater(self._disconnects(), disconnects, "none was ever lost")
        for payers in self.payers:
            payers.stop()
        self.assertEqual(self.network.stop(), [])

    def _wait_for_sockets(self, usual: list[int]) -> None:
        """Each process has no more than ``usual``."""

        def left() -> list[int]:
            return [max(0, now - most) for now, most in zip(self._sockets(), usual, strict=True)]

        self._wait(
            "sockets that nobody needs to be closed", lambda: not any(left()), lambda: str(left())
        )

    def _sockets(self) -> list[int]:
        """How many each process has open."""
        return [_count_sockets(node.pid) for node in self.network.nodes]

    def _disconnects(self) -> int:
        """How many links have ended so far, by all logs."""
        return sum(
            node.log_path.read_text("utf-8").count("p2p: peer disconnected")
            for node in self.network.nodes
        )


def _count_sockets(pid: int) -> int:
    count = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed in between
            count += os.readlink(each).startswith("socket:")
    return count
