"""The id of a request: in its answer, and in every log line that it causes.

A client may choose it (``X-Request-Id``), so that its own log joins with the node's.
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

HEADER = "X-Request-Id"
_CHOSEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
_current: ContextVar[str | None] = ContextVar("request", default=None)


def begin_request(chosen: str | None) -> str:
    """The id of the request that this coroutine answers: ``chosen`` if it can be one, or new."""
    usable = chosen is not None and _CHOSEN.fullmatch(chosen) is not None
    request_id = chosen if usable and chosen is not None else secrets.token_hex(6)
    _current.set(request_id)
    return request_id


def current_request() -> str | None:
    """The id of the request that is being answered now; None outside of one."""
    return _current.get()
