"""Payments through the wallet of one node: sent at an even rate, followed to final and archived."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from timecoin.cli.soak.target import Target
from timecoin.client.blocking import BlockingClient, RpcCallError, RpcUnreachable

AMOUNT = "0.001"
MAX_ERRORS_TOLD = 5
PAUSE_S = 0.02
MAX_EARLY = 100_000


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment and when it was asked for, in seconds since the soak began."""

    txid: str
    sent_s: float


class Payments:
    """Two threads: one sends, one waits until each payment is final."""

    def __init__(
        self,
        payer: Target,
        address: str,
        per_second: float,
        final_within_s: float,
        clock: Callable[[], float],
    ) -> None:
        """``clock`` gives seconds since the soak began."""
        self._payer = payer
        self._address = address
        self._pause_s = 1 / per_second
        self._final_within_s = final_within_s
        self._clock = clock
        self._stop = threading.Event()
        self._sent: deque[Payment] = deque()
        self.begun = 0
        """Payments that the wallet took."""
        self.latencies: list[tuple[float, float]] = []
        """(when it was final, seconds from asking for it) of every final payment."""
        self.final: dict[str, Payment] = {}
        """Final ones that no block has been seen with."""
        self._archived_early: dict[str, None] = {}
        """In a block before the follower came to them."""
        self.late: list[str] = []
        """Those that were not final in time."""
        self.errors: list[str] = []
        """The first payments that the node refused to make, why."""
        self.refused = 0
        self._threads = [
            threading.Thread(target=self._send, daemon=True),
            threading.Thread(target=self._follow, daemon=True),
        ]

    def start(self) -> None:
        """Begin to pay."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Pay no more; returns when all payments are final, or late."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def archived(self, txids: list[str]) -> None:
        """A block holds ``txids``."""
        for txid in txids:
            if self.final.pop(txid, None) is None:
                self._archived_early[txid] = None
        while len(self._archived_early) > MAX_EARLY:
            del self._archived_early[next(iter(self._archived_early))]

    def _send(self) -> None:
        client = self._payer.client(self._final_within_s)
        due_s = self._clock()
        while not self._stop.is_set():
            wait_s = due_s - self._clock()
            if wait_s > 0 and self._stop.wait(wait_s):
                break
            due_s = max(due_s, self._clock() - 1) + self._pause_s  # at most a second is made up for
            began_s = self._clock()
            try:
                txid = client.call("sendtoaddress", [self._address, AMOUNT])
            except (RpcCallError, RpcUnreachable) as error:
                self.refused += 1
                if len(self.errors) < MAX_ERRORS_TOLD:
                    self.errors.append(str(error))
                continue
            self.begun += 1
            self._sent.append(Payment(str(txid), began_s))
        client.close()

    def _follow(self) -> None:
        client = self._payer.client(self._final_within_s + 10)
        while self._sent or not self._stop.is_set() or self._threads[0].is_alive():
            if not self._sent:
                time.sleep(PAUSE_S)
                continue
            payment = self._sent[0]
            if self._is_final(client, payment):
                now_s = self._clock()
                self.latencies.append((now_s, now_s - payment.sent_s))
                if payment.txid in self._archived_early:
                    del self._archived_early[payment.txid]
                else:
                    self.final[payment.txid] = payment
            else:
                self.late.append(payment.txid)
            self._sent.popleft()
        client.close()

    def _is_final(self, client: BlockingClient, payment: Payment) -> bool:
        """Wait for it, as long as it may take; a node that is away is asked again."""
        while True:
            left_s = payment.sent_s + self._final_within_s - self._clock()
            timeout_s = max(1, int(left_s))
            named = {"txid": payment.txid, "timeout": timeout_s}
            try:
                state = client.call("waittransactionfinality", named)
            except RpcCallError:
                return False
            except RpcUnreachable:
                if left_s <= 0:
                    return False
                time.sleep(1)
                continue
            return state["finalized"] is True


def is_kept(client: BlockingClient, txid: str) -> bool:
    """Whether a node still knows ``txid`` as final, waiting or archived."""
    try:
        return client.call("gettransactionfinality", [txid])["finalized"] is True
    except RpcCallError:
        return False
