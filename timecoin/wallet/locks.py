"""Coins that its owner wants left alone, as Bitcoin Core's ``lockunspent`` has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from timecoin.ledger.transaction import Outpoint
from timecoin.wallet.errors import LockRefused


class CoinLocks:
    """Locked coins; those that are kept stand in the wallet's file and outlive a restart."""

    def __init__(
        self, kept: Iterable[Outpoint], keep: Callable[[tuple[Outpoint, ...]], None]
    ) -> None:
        """``kept``: as the file has them; ``keep`` writes them there, or raises."""
        self._kept = dict.fromkeys(kept)
        self._locked = dict(self._kept)
        self._keep = keep

    def __contains__(self, point: object) -> bool:
        """Whether ``point`` is locked."""
        return point in self._locked

    def __iter__(self) -> Iterator[Outpoint]:
        """The locked coins, longest locked first."""
        return iter(self._locked)

    def lock(self, points: Sequence[Outpoint], persistent: bool) -> None:
        """Lock ``points``; with ``persistent`` beyond a restart, also those that are locked now.

        :class:`LockRefused` when one is locked already, ``WalletFileError``: nothing has changed.
        """
        if persistent:
            self._rewrite(dict.fromkeys((*self._live(), *points)))
        else:
            for point in points:
                if point in self._locked:
                    raise LockRefused(f"output {point.hex()} is locked already")
        self._locked.update(dict.fromkeys(points))

    def unlock(self, points: Sequence[Outpoint]) -> None:
        """Free ``points``; :class:`LockRefused` when one is not locked, ``WalletFileError``."""
        for point in points:
            if point not in self._locked:
                raise LockRefused(f"output {point.hex()} is not locked")
        freed = set(points)
        self._rewrite(dict.fromkeys(point for point in self._live() if point not in freed))
        self.forget(points)

    def unlock_all(self) -> None:
        """Free all of them; ``WalletFileError``."""
        self.unlock(tuple(self._locked))

    def forget(self, points: Iterable[Outpoint]) -> None:
        """``points`` are spent. The file forgets them when it is written the next time."""
        for point in points:
            self._locked.pop(point, None)

    def _live(self) -> list[Outpoint]:
        return [point for point in self._kept if point in self._locked]

    def _rewrite(self, kept: dict[Outpoint, None]) -> None:
        if kept != self._kept:
            self._keep(tuple(kept))
            self._kept = kept
