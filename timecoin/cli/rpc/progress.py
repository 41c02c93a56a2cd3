"""What a person sees while the node takes its time; nothing where there is no terminal."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from timecoin.cli.rpc.session import Session
from timecoin.client.blocking import BlockingClient, RpcCallError, RpcUnreachable

WAITS = {
    "waittransactionfinality": "waiting until it is final",
    "sendtoaddress": "paying",
    "sendmany": "paying",
    "gettxoutsetinfo": "walking the unspent outputs",
}
RESCAN = "rescanblockchain"
ASK_EVERY_S = 0.5
ASK_TIMEOUT_S = 30.0


def progress(session: Session, method: str) -> AbstractContextManager[None]:
    """Shows that ``method`` is under way, if it takes its time; of a rescan, how far it is."""
    if method == RESCAN and session.screen.err.is_terminal:
        return _rescan(session)
    return session.screen.waiting(WAITS[method]) if method in WAITS else nullcontext()


@contextlib.contextmanager
def _rescan(session: Session) -> Iterator[None]:
    columns = (
        TextColumn("searching the chain"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    client, over = session.connection.client(ASK_TIMEOUT_S), threading.Event()
    with Progress(*columns, console=session.screen.err, transient=True) as shown:
        task = shown.add_task("", total=1.0)

        def show(done: float) -> None:
            shown.update(task, completed=done)

        thread = threading.Thread(target=follow, args=(client, over, show))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def follow(client: BlockingClient, over: threading.Event, show: Callable[[float], None]) -> None:
    """Ask how far the walk is and ``show`` it, until it is ``over`` or nobody answers."""
    with contextlib.closing(client):
        while not over.wait(ASK_EVERY_S):
            try:
                scanning = client.call("getwalletinfo")["scanning"]
            except (RpcCallError, RpcUnreachable):
                return  # only the sight of it is lost
            if isinstance(scanning, dict):
                show(float(Decimal(scanning["progress"])))
