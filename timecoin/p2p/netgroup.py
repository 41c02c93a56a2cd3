"""Hosts as bytes, and which of them one operator may easily have many of.

Limits and choices go by *groups* of addresses, as in Bitcoin: who controls a network has all of its
addresses at no cost, so a thousand of them must not weigh more than one.
"""

from __future__ import annotations

import functools
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

IPV4_BYTES, IPV6_BYTES = 4, 16
_NAT64 = IPv6Network("64:ff9b::/96")


def pack_host(host: str) -> bytes | None:
    """The 4 or 16 bytes of an IP address; None for a name. IPv4 within IPv6 is IPv4."""
    try:
        address = ip_address(host.partition("%")[0])  # a link-local address may name its interface
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.packed


def host_text(packed: bytes) -> str:
    """The address as it is written; the inverse of :func:`pack_host`."""
    return str(ip_address(packed))


def is_canonical(packed: bytes) -> bool:
    """Whether these are the bytes that :func:`pack_host` makes, of a host that can be called."""
    if len(packed) not in (IPV4_BYTES, IPV6_BYTES):
        return False
    address = ip_address(packed)
    if address.is_unspecified or address.is_multicast:
        return False
    return not (isinstance(address, IPv6Address) and address.ipv4_mapped is not None)


def is_public(packed: bytes) -> bool:
    """Whether the whole internet can reach the host: not loopback, not a private network."""
    return _meant(packed).is_global


@functools.lru_cache(maxsize=4_096)  # asked for each link when the house is full
def address_group(packed: bytes) -> bytes:
    """The network that a host stands in: /16 of IPv4, /32 of IPv6.

    A private host is a group of its own: nobody outside can have such addresses.
    """
    address = _meant(packed)
    if not address.is_global:
        return b"p" + packed
    return (b"4" + address.packed[:2]) if address.version == 4 else (b"6" + address.packed[:4])


def _meant(packed: bytes) -> IPv4Address | IPv6Address:
    """The address; of IPv6 that only wraps IPv4 (6to4, NAT64) that one.

    Versions of Python do not agree on whether 6to4 itself is global.
    """
    address = ip_address(packed)
    if isinstance(address, IPv6Address):
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return IPv4Address(packed[-IPV4_BYTES:])
    return address
