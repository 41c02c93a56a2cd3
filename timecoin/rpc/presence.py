"""Since when each masternode has been live without a break, as this node has seen it."""

from __future__ import annotations

from collections import OrderedDict

from twisted.internet.interfaces import IReactorTime

from timecoin.masternodes.events import MasternodeAwake, MasternodeSilent

MAX_FOLLOWED = 10_000


class Presences:
    """Hears the masternode machine."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._since_s: OrderedDict[bytes, float] = OrderedDict()

    def on_awake(self, fact: MasternodeAwake) -> None:
        """A masternode is live."""
        self._since_s[fact.pubkey] = self._clock.seconds()
        self._since_s.move_to_end(fact.pubkey)
        if len(self._since_s) > MAX_FOLLOWED:
            self._since_s.popitem(last=False)

    def on_silent(self, fact: MasternodeSilent) -> None:
        """It is so no longer."""
        self._since_s.pop(fact.pubkey, None)

    def seconds(self, pubkey: bytes) -> int | None:
        """How long ``pubkey`` has been live; None if it is not, or never was."""
        since_s = self._since_s.get(pubkey)
        return None if since_s is None else max(0, int(self._clock.seconds() - since_s))
