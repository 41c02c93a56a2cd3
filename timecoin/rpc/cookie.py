"""The cookie file: a login of this run for whoever may read the data directory."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from timecoin.rpc.auth import Login

COOKIE_USER = "__cookie__"


class Cookie:
    """Creates the file at start and removes it at stop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text: str | None = None

    def create(self) -> Login:
        """Write a fresh ``__cookie__:hex``, mode 0600, and return its login.

        It appears under its name only when whole; a file left by a killed node is replaced.
        """
        password = secrets.token_hex(32)
        text = f"{COOKIE_USER}:{password}"
        partial = self._path.with_name(self._path.name + ".tmp")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        partial.replace(self._path)
        self._text = text
        return Login.from_password(COOKIE_USER, password)

    def remove(self) -> None:
        """Delete the file if it is still the one that :meth:`create` wrote."""
        try:
            if self._text is not None and self._path.read_text() == self._text:
                self._path.unlink()
        except FileNotFoundError:
            pass
        self._text = None
