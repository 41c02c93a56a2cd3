"""Names to addresses by the reactor's resolver."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import (
    IAddress,
    IHostResolution,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from zope.interface import implementer

MAX_ADDRESSES = 256


def resolver(reactor: IReactorPluggableNameResolver) -> Callable[[str], Deferred[list[str]]]:
    """All addresses of a name, at most 256; ``DNSLookupError`` if it has none."""

    def resolve(name: str) -> Deferred[list[str]]:
        found: Deferred[list[str]] = Deferred()
        reactor.nameResolver.resolveHostName(_Receiver(name, found), name)
        return found

    return resolve


@implementer(IResolutionReceiver)
class _Receiver:
    def __init__(self, name: str, found: Deferred[list[str]]) -> None:
        self._name = name
        self._found = found
        self._hosts: list[str] = []

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        """The question is asked."""

    def addressResolved(self, address: IAddress) -> None:
        """One answer."""
        host = getattr(address, "host", None)
        if isinstance(host, str) and len(self._hosts) < MAX_ADDRESSES:
            self._hosts.append(host)

    def resolutionComplete(self) -> None:
        """There are no more answers."""
        if self._hosts:
            self._found.callback(self._hosts)
        else:
            self._found.errback(DNSLookupError(f"no address for {self._name}"))
