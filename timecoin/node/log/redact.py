"""Secrets never reach the log, whoever puts them into a message by mistake."""

from __future__ import annotations

import re

HIDDEN = "[hidden]"
SECRET_NAMES = (
    "passphrase",
    "password",
    "rpcauth",
    "rpcpassword",
    "secret",
    "seed",
    "mnemonic",
    "words",
    "privkey",
    "private_key",
    "authorization",
)
"""A field of an event with such a name, or with such a word in its name, is not shown."""

_NAMED = re.compile(
    r"(?i)\b((?:[\w-]*(?:" + "|".join(SECRET_NAMES) + r"))[\"']?\s*[=:]\s*)"
    r"(\"[^\"]*\"|'[^']*'|[^\s,;})\]]+)"
)
_BASIC = re.compile(r"(?i)\b(basic|bearer)\s+[A-Za-z0-9+/=_-]{8,}")
_URL = re.compile(r"(?i)\b(https?://)[^/\s:@]+:[^/\s@]+@")
MIN_SECRET_CHARS = 6
"""Shorter ones would hide ordinary words."""


class Redaction:
    """Replaces known secrets, and what looks like one, in whatever is written."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}

    def add(self, secret: str) -> None:
        """Never write ``secret``, such as a password of the configuration."""
        if len(secret) >= MIN_SECRET_CHARS:
            self._known[secret] = None

    def text(self, line: str) -> str:
        """``line`` without secrets."""
        for secret in self._known:
            line = line.replace(secret, HIDDEN)
        line = _BASIC.sub(rf"\1 {HIDDEN}", line)
        line = _URL.sub(rf"\1{HIDDEN}@", line)
        return _NAMED.sub(rf"\1{HIDDEN}", line)

    def field(self, name: str, value: object) -> object:
        """``value`` of the event's field ``name`` as it may be shown."""
        lowered = name.lower()
        if any(secret in lowered for secret in SECRET_NAMES):
            return HIDDEN
        return self.text(value) if isinstance(value, str) else value
