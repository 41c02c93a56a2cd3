"""Payments through the wallet of one node: sent at an even rate, followed to final and archived."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from timecoin.cli.soak.target import Target
from timecoin.client.blocking import BlockingClient, RpcCallError, RpcUnreachable
from timecoin.rpc.errors import INSUFFICIENT_FUNDS

AMOUNT = "0.001"
MAX_ERRORS_TOLD = 5
WORKERS = 4
FUNDS_WAIT_S = 10.0
PAUSE_S = 0.02
MAX_EARLY = 100_000


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment and when it was asked for, in seconds since the soak began."""

    txid: str
    sent_s: float


class Payments:
    """Some threads send, as many wait until each payment is final: a slow call delays no other."""

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
        self._lock = threading.Lock()
        self._due_s = 0.0
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
        self._senders = [threading.Thread(target=self._send, daemon=True) for _ in range(WORKERS)]
        self._followers = [
            threading.Thread(target=self._follow, daemon=True) for _ in range(WORKERS)
        ]

    def start(self) -> None:
        """Begin to pay."""
        self._due_s = self._clock()
        for thread in [*self._senders, *self._followers]:
            thread.start()

    def stop(self) -> None:
        """Pay no more; returns when all payments are final, or late."""
        self._stop.set()
        for thread in [*self._senders, *self._followers]:
            thread.join()

    def archived(self, txids: list[str]) -> None:
        """A block holds ``txids``."""
        with self._lock:
            for txid in txids:
                if self.final.pop(txid, None) is None:
                    self._archived_early[txid] = None
            while len(self._archived_early) > MAX_EARLY:
                del self._archived_early[next(iter(self._archived_early))]

    def _next_due_s(self) -> float:
        """When the next payment is due; at most a second is made up for."""
        with self._lock:
            due_s = max(self._due_s, self._clock() - 1)
            self._due_s = due_s + self._pause_s
            return due_s

    def _send(self) -> None:
        client = self._payer.client(self._final_within_s)
        while not self._stop.is_set():
            wait_s = self._next_due_s() - self._clock()
            if wait_s > 0 and self._stop.wait(wait_s):
                break
            try:
                payment = self._pay(client)
            except (RpcCallError, RpcUnreachable) as error:
                with self._lock:
                    self.refused += 1
                    if len(self.errors) < MAX_ERRORS_TOLD:
                        self.errors.append(str(error))
                continue
            with self._lock:
                self.begun += 1
                self._sent.append(payment)
        client.close()

    def _pay(self, client: BlockingClient) -> Payment:
        """One payment; while every coin is on its way, it waits for change to become final."""
        asked_s = self._clock()
        while True:
            began_s = self._clock()
            try:
                txid = client.call("sendtoaddress", [self._address, AMOUNT])
            except RpcCallError as error:
                if error.code != INSUFFICIENT_FUNDS or began_s - asked_s > FUNDS_WAIT_S:
                    raise
                time.sleep(PAUSE_S)
            else:
                return Payment(str(txid), began_s)

    def _follow(self) -> None:
        client = self._payer.client(self._final_within_s + 10)
        while True:
            ended = self._stop.is_set() and not any(each.is_alive() for each in self._senders)
            try:
                payment = self._sent.popleft()
            except IndexError:
                if ended:
                    break
                time.sleep(PAUSE_S)
                continue
            final = self._is_final(client, payment)
            with self._lock:
                self._settle(payment, final)
        client.close()

    def _settle(self, payment: Payment, final: bool) -> None:
        if not final:
            self.late.append(payment.txid)
            return
        now_s = self._clock()
        self.latencies.append((now_s, now_s - payment.sent_s))
        if payment.txid in self._archived_early:
            del self._archived_early[payment.txid]
        else:
            self.final[payment.txid] = payment

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
