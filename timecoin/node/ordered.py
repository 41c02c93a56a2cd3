"""A ``MultiService`` that stops its children one by one, last started first.

Twisted's own calls them all in reverse order but waits for none before the next; here the store
must be the last to stop, after everybody who writes to it.
"""

from __future__ import annotations

from twisted.application import service
from twisted.internet import defer


class OrderedMultiService(service.MultiService):
    """Children stop in reverse order, each after the one before it has stopped."""

    def stopService(self) -> defer.Deferred[None]:
        """Stop all children; fires when the first one has stopped."""
        service.Service.stopService(self)
        return defer.ensureDeferred(self._stop_children())

    async def _stop_children(self) -> None:
        for child in reversed(list(self)):
            await defer.maybeDeferred(child.stopService)
