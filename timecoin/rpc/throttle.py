"""Slowing down whoever guesses passwords."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from timecoin.rpc.http import HttpRefusal

FIRST_DELAY_S = 0.25
MAX_DELAY_S = 4.0
FORGET_AFTER_S = 600.0
MAX_DELAYED_PER_ADDRESS = 8
MAX_ADDRESSES = 1_000


@dataclass(slots=True)
class _Failures:
    count: int
    last_s: float
    delayed: int = 0


class LoginThrottle:
    """The answer to the n-th failure waits 0.25, 0.5, 1, 2, then 4 s.

    Counts per client address (IPv6: per /64), for at most 1,000 addresses; ten quiet minutes or a
    success forget one. Eight answers held back for one address refuse its next attempts (429).
    """

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self.failed_total = 0

    def __len__(self) -> int:
        """Addresses remembered."""
        return len(self._failures)

    def check(self, address: str) -> None:
        """Raise :class:`HttpRefusal` 429 if too many answers are being held back."""
        failures = self._failures.get(_group(address))
        if failures is not None and failures.delayed >= MAX_DELAYED_PER_ADDRESS:
            retry_after = {"Retry-After": str(int(MAX_DELAY_S))}
            raise HttpRefusal(HTTPStatus.TOO_MANY_REQUESTS, "too many failed logins", retry_after)

    async def failed(self, address: str) -> None:
        """Count a failure, then wait as long as its answer must."""
        group, now_s = _group(address), self._clock.seconds()
        failures = self._failures.pop(group, None)
        if failures is None or now_s - failures.last_s > FORGET_AFTER_S:
            failures = _Failures(count=0, last_s=now_s)
        self._failures[group] = failures
        if len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)
        self.failed_total += 1
        self.log.warn("wrong user or password from {address}", address=address)
        failures.count += 1
        failures.last_s = now_s
        delay_s = min(FIRST_DELAY_S * 2 ** min(failures.count - 1, 10), MAX_DELAY_S)
        failures.delayed += 1
        try:
            waiting: Deferred[None] = deferLater(self._clock, delay_s)
            await waiting
        finally:
            failures.delayed -= 1

    def succeeded(self, address: str) -> None:
        """Forget the failures of an address that has logged in."""
        self._failures.pop(_group(address), None)


def _group(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return f"{int(parsed) >> 64:x}/64" if parsed.version == 6 else address
