"""The walk over all unspent outputs, in short turns and one at a time."""

from __future__ import annotations

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime

from timecoin.chain.views import ChainViews, UtxoAudit
from timecoin.rpc.errors import MISC_ERROR, RpcError
from timecoin.rpc.turns import in_turns

MAX_WALKS = 5
"""A walk that a new block interrupts begins anew; so often at most."""


class Audit:
    """Runs the audit of ``views``; who comes while one runs waits, and shares its result."""

    def __init__(self, views: ChainViews, clock: IReactorTime) -> None:
        self._views = views
        self._clock = clock
        self._lock = DeferredLock()

    async def run(self) -> UtxoAudit:
        """The audit at the tip; RPC error -1 when blocks come faster than the walk ends."""
        await self._lock.acquire()
        try:
            for _ in range(MAX_WALKS):
                async for found in in_turns(self._clock, self._views.audit_in_steps()):
                    if found is not None:
                        return found
        finally:
            self._lock.release()
        raise RpcError(MISC_ERROR, f"a new block came during each of {MAX_WALKS} walks: try again")
