"""How the text of a setting is read; every function raises ``ValueError`` with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path

from timecoin.chain.prune import KEEP_AT_LEAST
from timecoin.p2p.address import PeerAddress, parse_peer_address

_BLOCK_HASH = re.compile(r"[0-9a-fA-F]{64}")
_KEY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def text(value: str) -> str:
    """Any text but none at all."""
    if not value:
        raise ValueError("a value is needed")
    return value


def path(value: str) -> Path:
    """A path, made absolute; ``~`` is the home directory."""
    if "\0" in value:
        raise ValueError(f"{value!r} is no path")
    try:
        return Path(text(value)).expanduser().absolute()
    except RuntimeError as error:  # ``~nobody``
        raise ValueError(f"{value!r}: {error}") from error


def key_name(value: str) -> str:
    """The name of a key file without ``.key``: it must not leave its directory."""
    if _KEY_NAME.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no name of letters, digits, '-', '_' and '.'")
    return value


def count(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers from ``low`` to ``high``."""

    def read(value: str) -> int:
        if not (value.isascii() and value.isdigit()) or not low <= int(value) <= high:
            raise ValueError(f"{value!r} is no number from {low} to {high}")
        return int(value)

    return read


port = count(0, 65_535)
"""A TCP port; 0 lets the system choose."""


def prune(value: str) -> int:
    """How many blocks keep their bodies; 0 for all."""
    return 0 if value == "0" else count(KEEP_AT_LEAST, 2**31)(value)


def switch(value: str) -> bool:
    """``1`` for on, ``0`` for off."""
    if value not in ("0", "1"):
        raise ValueError(f"{value!r} is neither 1 nor 0")
    return value == "1"


def host(value: str) -> str:
    """An IP address to listen on, or ``localhost``."""
    if value == "localhost":
        return "127.0.0.1"
    return str(ip_address(value))


def peer_list(value: str) -> tuple[PeerAddress, ...]:
    """``host:port`` entries joined by commas; spaces around them do not matter."""
    return tuple(parse_peer_address(entry) for entry in text(value).split(","))


def external(value: str) -> PeerAddress:
    """``address`` or ``address:port`` at which others reach this node; port 0 if none is given."""
    entry = _bind_entry(text(value))
    return PeerAddress(entry[0], entry[1] or 0)


def seed_list(value: str) -> tuple[PeerAddress, ...]:
    """Names joined by commas, each with ``:port`` or without, which is port 0 here."""
    names = [name.strip() for name in text(value).split(",")]
    return tuple(
        parse_peer_address(name) if ":" in name else PeerAddress(text(name), 0) for name in names
    )


def rpc_bind(value: str) -> tuple[tuple[str, int | None], ...]:
    """``host`` or ``host:port`` entries joined by commas; port None where there is none."""
    return tuple(_bind_entry(entry.strip()) for entry in text(value).split(","))


def _bind_entry(entry: str) -> tuple[str, int | None]:
    if entry.startswith("["):
        name, bracket, rest = entry[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{entry!r} is not [IPv6]:port")
        colon, number = rest[:1], rest[1:]
    elif entry.count(":") > 1:  # an IPv6 address alone
        name, colon, number = entry, "", ""
    else:
        name, colon, number = entry.partition(":")
    return host(name), port(number) if colon else None


def checkpoint(value: str) -> tuple[int, bytes]:
    """``HEIGHT:HASH``, the hash of a block in hex."""
    height, _, block_hash = value.partition(":")
    if _BLOCK_HASH.fullmatch(block_hash) is None:
        raise ValueError(f"{value!r} is not HEIGHT:HASH with a hash of 64 hex digits")
    return count(1, 2**63 - 1)(height), bytes.fromhex(block_hash)


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """A reader of one of ``names``."""

    def read(value: str) -> str:
        if value not in names:
            raise ValueError(f"{value!r} is none of {', '.join(names)}")
        return value

    return read
