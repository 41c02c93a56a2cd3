"""The nodes that are watched: from URLs, or from the record of a local network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from timecoin.cli.devnet.record import NodeRecord
from timecoin.client.blocking import BlockingClient

TIMEOUT_S = 10.0


class TargetError(ValueError):
    """A node that cannot be named like this; one line."""


@dataclass(frozen=True, slots=True)
class Target:
    """One node and its login."""

    name: str
    url: str
    user: str
    password: str
    tls_cert: Path | None = None
    log_path: Path | None = None
    """Its log, where that is a file of this machine."""

    def client(self, timeout_s: float = TIMEOUT_S) -> BlockingClient:
        """A caller; one for each thread."""
        secure = urlsplit(self.url).scheme == "https"
        return BlockingClient(
            self.url, self.user, self.password, timeout_s, self.tls_cert if secure else None
        )


def targets_of_records(records: list[NodeRecord]) -> list[Target]:
    """The nodes of a local network."""
    return [
        Target(
            each.name,
            each.rpc_url,
            each.rpc_user,
            each.rpc_password,
            None if each.tls_cert is None else Path(each.tls_cert),
            each.log_path,
        )
        for each in records
    ]


def targets_of_urls(
    urls: str, user: str | None, password: str | None, tls_cert: Path | None
) -> list[Target]:
    """Nodes given as ``URL,URL``; each may hold ``user:password@``, else the given login counts.

    :class:`TargetError` for one that cannot be called.
    """
    found = []
    for text in urls.split(","):
        parts = urlsplit(text.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise TargetError(f"{text.strip()!r} is no http or https URL")
        own_user = unquote(parts.username) if parts.username else user
        own_password = unquote(parts.password) if parts.password else password
        if not own_user or not own_password:
            raise TargetError(f"{parts.hostname}: no login: give it in the URL, or for all nodes")
        place = parts.netloc.rpartition("@")[2]
        url = urlunsplit((parts.scheme, place, parts.path or "/", "", ""))
        found.append(Target(place, url, own_user, own_password, tls_cert))
    if len({target.url for target in found}) < len(found):
        raise TargetError("a node is named twice")
    return found
