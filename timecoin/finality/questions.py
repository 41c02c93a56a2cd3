"""Questions for certificates that messages of peers give rise to, each only once in a while.

Otherwise two nodes that lack the same body, or one that holds what another has archived, would
question and answer each other without end.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from timecoin.finality.messages import GetCertificate
from timecoin.finality.parameters import MAX_ANSWERED, MAX_QUESTIONS
from timecoin.machine import Effect, Send


class Questions:
    """What each peer was asked for within the last ``pause_ms``."""

    def __init__(self, pause_ms: int) -> None:
        self._pause_ms = pause_ms
        self._asked: OrderedDict[tuple[bytes, bytes], int] = OrderedDict()
        """(peer, name) -> when; oldest first."""

    def ask(self, peer: bytes, names: Iterable[bytes], now_ms: int) -> list[Effect]:
        """Ask ``peer`` for the first few of ``names`` (batch roots or txids) not just asked for."""
        while self._asked and next(iter(self._asked.values())) + self._pause_ms <= now_ms:
            self._asked.popitem(last=False)
        fresh = [name for name in dict.fromkeys(names) if (peer, name) not in self._asked]
        asked = fresh[: min(MAX_ANSWERED, MAX_QUESTIONS - len(self._asked))]
        self._asked.update(((peer, name), now_ms) for name in asked)
        return [Send(peer, GetCertificate(name)) for name in asked]
