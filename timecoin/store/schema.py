"""A store belongs to one network and one layout of its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from twisted.logger import Logger

from timecoin.store import keys
from timecoin.store.engine import Engine, Row, StoreError

SCHEMA_VERSION = 4
"""2: with the index of addresses. 3: with the table of evidence. 4: with those of masternodes."""

Migration = Callable[[Engine], Iterable[Sequence[Row]]]
"""Batches that bring a store to the next layout. A crash may come between two of them: done again
from the start they must lead to the same rows."""


def _only_tables(engine: Engine) -> Iterable[Sequence[Row]]:
    """The next layout has more tables (``keys.ADDED``), which may begin empty."""
    return ()


MIGRATIONS: Mapping[int, Migration] = {1: _only_tables, 2: _only_tables, 3: _only_tables}
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
