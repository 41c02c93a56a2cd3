"""A store belongs to one network and one layout of its rows."""

from __future__ import annotations

from timecoin.store import keys
from timecoin.store.engine import Engine, StoreError

SCHEMA_VERSION = 2
"""2: with the index of addresses."""


class WrongGenesis(StoreError):
    """The store was made for another genesis file."""


class WrongSchema(StoreError):
    """The store was made by a version with another layout."""


def claim_store(engine: Engine, genesis_hash: bytes) -> None:
    """Mark an empty store as that of ``genesis_hash``; check the mark of any other.

    :class:`WrongSchema` or :class:`WrongGenesis` when it does not fit; nothing is changed then.
    """
    schema = engine.get(keys.META, keys.META_SCHEMA)
    expected = SCHEMA_VERSION.to_bytes(4, "big")
    if schema is None:
        engine.write(
            [
                (keys.META, keys.META_SCHEMA, expected),
                (keys.META, keys.META_GENESIS, genesis_hash),
            ],
            sync=True,
        )
        return
    if schema != expected:
        found = int.from_bytes(schema, "big")
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
