"""A store belongs to one network and one layout of its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from twisted.logger import Logger

from timecoin.codec import U8, U32, U64, Bytes20, Bytes32, CodecError, Wire, decode, encode
from timecoin.crypto.hashing import HASH_BYTES
from timecoin.masternodes.active_set import ActiveSet, Member
from timecoin.store import keys
from timecoin.store.engine import Engine, Row, StoreError

SCHEMA_VERSION = 5
"""2: with the index of addresses. 3: with the table of evidence. 4: with those of masternodes.
5: snapshots of the active set name stakes and who departed."""

Migration = Callable[[Engine], Iterable[Sequence[Row]]]
"""Batches that bring a store to the next layout. A crash may come between two of them: done again
from the start they must lead to the same rows."""


def _only_tables(engine: Engine) -> Iterable[Sequence[Row]]:
    """The next layout has more tables (``keys.ADDED``), which may begin empty."""
    return ()


class _EarlierMember(Wire, frozen=True):
    """A member of the active set as it was written up to layout 4."""

    pubkey: Bytes32
    vrf_pubkey: Bytes32
    weight: U32
    tier: U8
    payout_hash: Bytes20
    joined_height: U64
    expiry_height: U64


class _EarlierSet(Wire, frozen=True):
    """A snapshot as it was written up to layout 4."""

    members: tuple[_EarlierMember, ...]


def _sets_with_stakes(engine: Engine) -> Iterable[Sequence[Row]]:
    """Snapshots get the fields that they had no use for: nobody had a stake or had departed."""
    for key, row in list(engine.scan(keys.AVS)):
        if len(key) != HASH_BYTES:
            continue  # height -> root
        try:
            earlier = decode(row, _EarlierSet, len(row))
        except CodecError:
            continue  # done before a crash
        members = tuple(Member(*msgspec.structs.astuple(item)) for item in earlier.members)
        yield [(keys.AVS, key, encode(ActiveSet(members)))]


MIGRATIONS: Mapping[int, Migration] = {
    1: _only_tables,
    2: _only_tables,
    3: _only_tables,
    4: _sets_with_stakes,
}
"""By the layout that they lead away from. That of addresses is built where it is missing."""

_log = Logger("timecoin.store")


class WrongGenesis(StoreError):
    """The store was made for another genesis file."""


class WrongSchema(StoreError):
    """The store was made by a version with another layout."""


def claim_store(engine: Engine, genesis_hash: bytes) -> None:
    """Mark an empty store as that of ``genesis_hash``; check the mark of any other.

    A store of an earlier layout is brought to this one. :class:`WrongSchema` or
    :class:`WrongGenesis` when it does not fit; nothing is changed then.
    """
    schema = engine.get(keys.META, keys.META_SCHEMA)
    if schema is None:
        mark = _mark(SCHEMA_VERSION)
        engine.write([mark, (keys.META, keys.META_GENESIS, genesis_hash)], sync=True)
        return
    found = int.from_bytes(schema, "big")
    if found != SCHEMA_VERSION and found not in MIGRATIONS:
        raise WrongSchema(
            f"the store has layout {found}, this version needs {SCHEMA_VERSION}: "
            "use the version that made it, or a new data directory"
        )
    genesis = engine.get(keys.META, keys.META_GENESIS)
    if genesis != genesis_hash:
        made_for = genesis.hex() if genesis is not None else "an unknown genesis"
        raise WrongGenesis(
            f"the store was made for genesis {made_for}, not {genesis_hash.hex()}: "
            "use its genesis file, or a new data directory"
        )
    for layout in range(found, SCHEMA_VERSION):
        _log.info("bringing the store from layout {old} to {new}", old=layout, new=layout + 1)
        for batch in MIGRATIONS[layout](engine):
            engine.write(batch, sync=False)
        engine.write([_mark(layout + 1)], sync=True)


def _mark(layout: int) -> Row:
    return (keys.META, keys.META_SCHEMA, layout.to_bytes(4, "big"))
