"""The wallet under Twisted: passphrases in a thread, a clock that locks it, long walks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Cooperator, SchedulerStopped
from twisted.logger import Logger
from twisted.python.failure import Failure

from timecoin.finality.events import Status
from timecoin.ledger.transaction import Transaction
from timecoin.wallet.derive import Branch
from timecoin.wallet.errors import ScanRunning
from timecoin.wallet.scan import ScanProgress
from timecoin.wallet.sealing import Sealing
from timecoin.wallet.wallet import Wallet

MAX_UNLOCK_S = 100_000_000
"""Bitcoin Core's bound of ``walletpassphrase``: three years."""

TURN_BUDGET_S = 0.01
"""Reading blocks lets others have their turn after it."""

_log = Logger("timecoin.wallet")

T = TypeVar("T")

Waiting = Callable[[], Iterable[tuple[Transaction, Status]]]


class RunAside(Protocol):
    """Runs a blocking function in a thread; the Deferred fires in the loop, failures included."""

    def __call__(self, work: Callable[[], T]) -> Deferred[T]:
        """Start ``work``."""


class WalletService(Service):
    """Unlocks and locks one wallet; one passphrase at a time."""

    def __init__(
        self, wallet: Wallet, sealing: Sealing, clock: IReactorTime, run_aside: RunAside
    ) -> None:
        self.setName("wallet")
        self.wallet = wallet
        self._sealing = sealing
        self._clock = clock
        self._run_aside = run_aside
        self._queue = DeferredLock()
        self._timer: IDelayedCall | None = None
        self._lockings = 0
        self._walks = Cooperator(
            terminationPredicateFactory=self._turn, scheduler=lambda run: clock.callLater(0, run)
        )
        self._progress: ScanProgress | None = None
        self._walking = False

    def startService(self) -> None:
        """Say what is there, and read the blocks that the history has not seen."""
        super().startService()
        keystore = self.wallet.keystore
        _log.info(
            "{count} addresses in use, {state}",
            count=keystore.count(Branch.RECEIVE),
            state="locked" if keystore.locked else "ready to pay",
        )
        self._catch_up()

    # the chain

    @property
    def scanning(self) -> ScanProgress | None:
        """How far the walk over the chain is that runs now; None when none does."""
        return self._progress

    def rescan(self, first: int, last: int | None = None) -> Deferred[None]:
        """Read the blocks from ``first`` to ``last`` (None: the tip) again; fires at the end.

        ``ValueError`` for blocks that there are not, :class:`ScanRunning`. Fails with
        ``LookupError`` when the store is damaged, ``WalletFileError`` when keys that were found
        cannot be written, ``SchedulerStopped`` when the node stops meanwhile.
        """
        if self._walking:
            raise ScanRunning
        return self._walk(self.wallet.rescan(first, last))

    def _turn(self) -> Callable[[], bool]:
        """Tells when a walk has had its time in this turn of the loop."""
        began_s = self._clock.seconds()
        return lambda: self._clock.seconds() - began_s > TURN_BUDGET_S

    def _catch_up(self) -> None:
        if not self._walking:
            self._walk(self.wallet.catch_up()).addErrback(_report)

    def _walk(self, steps: Iterator[ScanProgress]) -> Deferred[None]:
        def watched() -> Iterator[None]:
            for progress in steps:
                self._progress = progress
                yield None
            self.wallet.keystore.save()

        def ended(result: Iterator[None] | Failure) -> Failure | None:
            self._walking, self._progress = False, None
            return result if isinstance(result, Failure) else None

        self._walking = True
        return self._walks.cooperate(watched()).whenDone().addBoth(ended)

    # the passphrase

    def unlock(self, passphrase: str, timeout_s: int) -> Deferred[None]:
        """Allow payments for ``timeout_s`` seconds from success on; a later call counts anew.

        ``ValueError`` for a time-out outside 0 .. :data:`MAX_UNLOCK_S`. Fails with
        ``WrongPassphrase``, or ``WrongState`` for a wallet without passphrase; nothing changes.
        """
        if not 0 <= timeout_s <= MAX_UNLOCK_S:
            raise ValueError(f"{timeout_s} seconds are not within 0 .. {MAX_UNLOCK_S}")
        lockings = self._lockings

        def opened(entropy: bytes) -> None:
            if lockings == self._lockings:  # else a lock was asked for after this
                self.wallet.unlock_with(entropy)
                self._catch_up()
                self._lock_after(timeout_s)

        def run() -> Deferred[None]:
            work = self._run_aside(lambda: self.wallet.keystore.unsealed(passphrase))
            return work.addCallback(opened)

        return self._queue.run(run)

    def lock(self) -> None:
        """Forget the private keys now; ``WrongState`` for a wallet without passphrase."""
        self.wallet.lock()
        self._lockings += 1
        self._stop_timer()

    def change_passphrase(self, old: str | None, new: str) -> Deferred[None]:
        """Seal the words under ``new``; ``old`` is None for a wallet without passphrase.

        That one is locked then; another stays as it is. Fails with ``WrongPassphrase``,
        ``WrongState``, ``WalletFileError``, or ``ValueError`` for an empty passphrase; nothing
        changes.
        """

        def run() -> Deferred[None]:
            keystore = self.wallet.keystore
            work = self._run_aside(lambda: self._sealing.seal(keystore.unsealed(old), new))
            return work.addCallback(keystore.reseal)

        return self._queue.run(run)

    def exchange(self, backup: Path, waiting: Waiting) -> Deferred[Path]:
        """Go on as the wallet of the copy ``backup``; fires with where this one is kept.

        ``waiting`` tells the pool's transactions and their status. Locked if the copy is sealed.
        Fails with ``WalletFileError`` or :class:`ScanRunning`: nothing has changed.
        """

        def run() -> Path:
            if self._walking:
                raise ScanRunning
            keystore, kept = self.wallet.keystore.exchanged(backup)
            self.wallet.exchange(keystore, waiting())
            self._lockings += 1
            self._stop_timer()
            self._catch_up()
            return kept

        return self._queue.run(run)

    @property
    def locks_in_s(self) -> int | None:
        """Seconds until it locks itself; None when no passphrase is in force."""
        if self._timer is None:
            return None
        return max(0, int(self._timer.getTime() - self._clock.seconds()))

    def stopService(self) -> Deferred[None]:
        """Lock, stop reading, and write what has not been written yet."""
        super().stopService()
        self._walks.stop()
        self._lockings += 1
        self._stop_timer()
        return self._queue.run(self._close)

    def _close(self) -> None:
        keystore = self.wallet.keystore
        if keystore.sealed:
            keystore.lock()
        keystore.save()

    def _lock_after(self, timeout_s: int) -> None:
        self._stop_timer()
        self._timer = self._clock.callLater(timeout_s, self._expired)

    def _expired(self) -> None:
        self._timer = None
        self.wallet.lock()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _report(failure: Failure) -> None:
    """A walk that nobody waits for has failed."""
    if failure.check(SchedulerStopped) is None:
        _log.failure("reading the chain for the history has failed", failure)
