"""Starting from a set of unspent outputs instead of all blocks (PROTOCOL 8, fast start).

The set is loaded in place, page by page, each with the running state in one batch: the store always
says how far it is, and whether it is whole. It becomes the chain's only when it hashes to the
``utxo_root`` of a certified header; then the tip moves there in one synced batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from timecoin.chain.commit import Chain, genesis_state
from timecoin.chain.headers import HeaderChain
from timecoin.chain.ports import GenesisState
from timecoin.codec import U64, Bytes32, Wire
from timecoin.crypto.lthash import LtHash
from timecoin.ledger.connect import Coin
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.transaction import Outpoint
from timecoin.ledger.utxo import utxo_element
from timecoin.signal import Signal


class LoadState(Wire, frozen=True):
    """How far the loading of the set after block ``height`` is."""

    height: U64
    hash: Bytes32
    cursor: bytes
    """The last outpoint that is in the store."""
    lthash: bytes
    supply: U64
    outputs: U64


@dataclass(frozen=True, slots=True)
class SetLoaded(Signal):
    """The chain begins at ``height`` now, with the set of unspent outputs after that block."""

    height: int


class LoadStore(Protocol):
    """Port: a store whose UTXO set is being replaced."""

    def loading(self) -> LoadState | None:
        """The state of the load that goes on; None when the store is whole."""

    def begin_load(self, state: LoadState) -> None:
        """Empty the UTXO set and note ``state``; begun twice is no error."""

    def add_coins(self, coins: Sequence[Coin], state: LoadState) -> None:
        """Add ``coins`` and note ``state`` in one batch, not synced."""

    def finish_load(self, state: LoadState) -> None:
        """Make ``state`` the tip, in one synced batch; there are no bodies up to it."""

    def cancel_load(self, state: LoadState, genesis: GenesisState) -> None:
        """Put the set of ``genesis`` in the place of what was loaded; ``state`` is a beginning."""


class Loader:
    """The single writer while a set is loaded; the chain rests at genesis meanwhile."""

    def __init__(
        self, genesis: Genesis, chain: Chain, headers: HeaderChain, store: LoadStore, wanted: bool
    ) -> None:
        """Goes on with a load that was interrupted, or cancels it unless ``wanted``."""
        self._genesis = genesis
        self._chain = chain
        self._headers = headers
        self._store = store
        self._state = store.loading()
        if self._state is None:
            return
        if not wanted or not self._is_known(self._state):
            self.cancel()
        elif not self._state.cursor:
            store.begin_load(self._state)  # whether all of the old set was gone is not known

    @property
    def state(self) -> LoadState | None:
        """How far the load is; None when there is none."""
        return self._state

    def _is_known(self, state: LoadState) -> bool:
        header = self._headers.header(state.height)
        return header is not None and header.hash == state.hash

    def begin(self, height: int) -> None:
        """Begin with the set after the certified block ``height``; the chain is at genesis."""
        header = self._headers.header(height)
        if header is None or self._chain.tip_height:
            raise ValueError(f"no load of height {height} on a chain at {self._chain.tip_height}")
        self._state = _beginning(height, header.hash)
        self._store.begin_load(self._state)

    def add(self, after: Outpoint, coins: Sequence[Coin], last: bool) -> bool | None:
        """Add a page that follows ``after``; with the ``last`` one say whether the set is right.

        A page that follows something else than the state changes nothing. A wrong set is thrown
        away, a right one has become the chain's when this returns.
        """
        state = self._state
        if state is None or state.cursor != after:
            return None
        lthash = LtHash.from_bytes(state.lthash)
        state = LoadState(
            height=state.height,
            hash=state.hash,
            cursor=coins[-1][0] if coins else state.cursor,
            lthash=lthash.add_many(utxo_element(*coin) for coin in coins).to_bytes(),
            supply=state.supply + sum(utxo.value for _, utxo in coins),
            outputs=state.outputs + len(coins),
        )
        self._store.add_coins(coins, state)
        self._state = state
        if not last:
            return None
        header = self._headers.header(state.height)
        if header is None or LtHash.from_bytes(state.lthash).digest() != header.utxo_root:
            self.cancel()
            return False
        self._store.finish_load(state)
        self._state = None
        self._chain.reopen()
        return True

    def cancel(self) -> None:
        """Throw away what was loaded; the chain is at genesis again."""
        if self._state is not None:
            beginning = _beginning(self._state.height, self._state.hash)
            self._store.cancel_load(beginning, genesis_state(self._genesis))
            self._state = None


def _beginning(height: int, block_hash: bytes) -> LoadState:
    return LoadState(height, block_hash, b"", LtHash().to_bytes(), 0, 0)
