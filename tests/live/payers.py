"""Users that pay through every node for as long as a test lasts, whatever happens to the nodes."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from timecoin.cli.devnet.record import NodeRecord
from timecoin.client.blocking import RpcCallError, RpcUnreachable

PAUSE_S = 0.1
DOWN_PAUSE_S = 0.3
FINALITY_WAIT_S = 10


class Payers:
    """One thread a node. ``final`` are the txids that some node has called final."""

    def __init__(self, nodes: Sequence[NodeRecord], address: str, amount: str) -> None:
        self._stop = threading.Event()
        self._final: dict[str, None] = {}
        self._refusals: list[str] = []
        self._address = address
        self._amount = amount
        self._threads = [threading.Thread(target=self._pay, args=(node,)) for node in nodes]

    def start(self) -> None:
        """Begin to pay."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Pay no more; returns when every thread has ended."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def final(self) -> list[str]:
        """Payments that were final, oldest first."""
        return list(self._final)

    @property
    def refusals(self) -> list[str]:
        """What nodes have answered instead of paying."""
        return list(self._refusals)

    def _pay(self, node: NodeRecord) -> None:
        client = node.client(timeout_s=FINALITY_WAIT_S + 5)
        while not self._stop.is_set():
            try:
                txid = client.call("sendtoaddress", [self._address, self._amount])
                state = client.call(
                    "waittransactionfinality", {"txid": txid, "timeout": FINALITY_WAIT_S}
                )
                if state["finalized"]:
                    self._final[txid] = None
                self._stop.wait(PAUSE_S)
            except RpcUnreachable:
                self._stop.wait(DOWN_PAUSE_S)  # killed: it comes back
            except RpcCallError as error:
                self._refusals.append(str(error))
                self._stop.wait(DOWN_PAUSE_S)
        client.close()
