"""How long transactions wait for others' work at present, so that this node does not do it again.

Under load everything takes longer, for this node and for all others. A member that then takes over
what is merely late multiplies the load for all: the network would collapse instead of slowing
down. So the pause follows what is measured, as TCP's time-out does (RFC 6298).
"""

from __future__ import annotations

from timecoin.finality.parameters import RETRY_MAX_MS

SAFETY = 4
"""The pause is this multiple of the usual wait."""
_SHIFT = 3
"""Each observation counts for an eighth."""


class Pace:
    """The smoothed time that transactions take, from arrival here to the certificate."""

    def __init__(self, least_ms: int) -> None:
        """``least_ms``: the pause while all goes well."""
        self.least_ms = least_ms
        self._scaled_ms = 0
        self._heard_ms = 0

    def heard(self, waited_ms: int, now_ms: int) -> None:
        """A transaction took ``waited_ms``."""
        if now_ms - self._heard_ms > RETRY_MAX_MS:
            self._scaled_ms = 0
        self._heard_ms = now_ms
        self._scaled_ms += waited_ms - (self._scaled_ms >> _SHIFT)

    def pause_ms(self, now_ms: int) -> int:
        """How long to wait before doing what others should have done; forgotten in calm times."""
        if now_ms - self._heard_ms > RETRY_MAX_MS:
            return self.least_ms
        return min(RETRY_MAX_MS, max(self.least_ms, SAFETY * (self._scaled_ms >> _SHIFT)))
