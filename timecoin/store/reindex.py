"""Rebuilding what follows from the stored blocks: unspent outputs, undo data, every index.

Each block is read, compared with its certified header, connected to the set so far, and has to
lead to its ``utxo_root``. At the first one that does not, or is not there, the chain is cut: it and
what follows is fetched from peers again, and judged like any other. Signatures are not checked
anew: what a header commits to was, before it was stored.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from timecoin.chain.addresses import address_changes
from timecoin.chain.commit import genesis_state
from timecoin.codec import CodecError, encode
from timecoin.crypto.lthash import LtHash
from timecoin.ledger.block import Block
from timecoin.ledger.connect import UtxoDiff, connect
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.transaction import Transaction
from timecoin.store import keys
from timecoin.store.addressindex import AddressIndex
from timecoin.store.chainstore import EngineChainStore, UndoRow, transaction_rows
from timecoin.store.engine import Engine, Row, StoreError
from timecoin.store.keys import height_key

_MARK = (keys.META, keys.META_REINDEX)

_log = Logger("timecoin.store")

Tell = Callable[[int, int], None]
"""(height done, height of the tip): called after each block."""


class Damage(Exception):
    """A stored block that is not what its header says."""


def is_interrupted(engine: Engine) -> bool:
    """Whether a rebuild was begun and not finished: nothing else may read the store then."""
    return engine.get(*_MARK) is not None


def reindex(engine: Engine, genesis: Genesis, address_index: bool, tell: Tell) -> int:
    """Rebuild everything up to the tip, and return how far it came; begun again it starts anew.

    ``StoreError`` for a store without its oldest blocks: there is nothing to rebuild from.
    ``StoreDamaged`` when blocks cannot be read from the disk: what is written beside them would not
    be safe either.
    """
    lacking = (keys.META_FIRST_BODY, keys.META_LOADING)
    if any(engine.get(keys.META, key) is not None for key in lacking):
        raise StoreError(
            "cannot reindex a store without its oldest blocks (pruned, or begun with a set of "
            "unspent outputs): start without --reindex and let it fetch them, or with a new data "
            "directory"
        )
    store = EngineChainStore(engine, address_index=False)
    tip = store.tip()
    if tip is None:
        return 0
    engine.write([(*_MARK, b"")], sync=True)
    for table in keys.REBUILT:
        engine.clear(table)
    height, block_hash = 0, genesis.hash
    lthash, supply = _begin(engine, genesis, address_index)
    while height < tip[0]:
        try:
            block, transactions = _read(store, height + 1, block_hash)
            diff = connect(transactions, block.body.reward, store, block.height)
            after = diff.apply_to(lthash)
            if after.digest() != block.header.utxo_root:
                raise Damage("it does not lead to its utxo_root")
        except (Damage, CodecError, RuleBroken) as error:
            _log.error(
                "block {height} is damaged ({error}): it and what follows is fetched again",
                height=height + 1,
                error=str(error),
            )
            break
        engine.write(_rows(engine, block, transactions, diff, address_index), sync=False)
        height, block_hash, lthash = block.height, block.hash, after
        supply += sum(utxo.value for _, utxo in diff.created)
        supply -= sum(utxo.value for _, utxo in diff.spent)
        tell(height, tip[0])
    engine.write(
        [
            (keys.META, keys.META_TIP, height_key(height) + block_hash),
            (keys.META, keys.META_LTHASH, lthash.to_bytes()),
            (keys.META, keys.META_SUPPLY, supply.to_bytes(16, "big")),
            (keys.META, keys.META_LACKS_UNDO, None),
            (*_MARK, None),
        ],
        sync=True,
    )
    return height


def _begin(engine: Engine, genesis: Genesis, address_index: bool) -> tuple[LtHash, int]:
    """The rows of block 0; LtHash and sum of its outputs."""
    state = genesis_state(genesis)
    rows: list[Row] = [(keys.UTXO, point, encode(utxo)) for point, utxo in state.created]
    rows.append((keys.HEIGHTS, state.hash, height_key(0)))
    if address_index:
        rows += AddressIndex(engine).genesis_rows(state.created)
    engine.write(rows, sync=False)
    return LtHash.from_bytes(state.lthash), state.supply


def _read(
    store: EngineChainStore, height: int, parent: bytes
) -> tuple[Block, tuple[Transaction, ...]]:
    """The stored block at ``height`` with its transactions, compared with its certified header."""
    block, certificate, members = (
        store.block(height),
        store.certificate(height),
        store.active_set(height),
    )
    if block is None or certificate is None or members is None:
        raise Damage("a part of it is not there")
    header = block.header
    place = (header.height, header.prev_hash, certificate.block_hash)
    if place != (height, parent, block.hash):
        raise Damage("its header is another one")
    if block.body.root != header.body_root or members.root != header.avs_root:
        raise Damage("its body or active set is another one")
    transactions = []
    for entry in block.body.entries:
        tx = store.transaction(entry.wtxid)
        if tx is None or (tx.txid, tx.wtxid) != (entry.txid, entry.wtxid):
            raise Damage(f"transaction {entry.txid.hex()} is not there")
        transactions.append(tx)
    return block, tuple(transactions)


def _rows(
    engine: Engine,
    block: Block,
    transactions: tuple[Transaction, ...],
    diff: UtxoDiff,
    address_index: bool,
) -> list[Row]:
    number = height_key(block.height)
    rows: list[Row] = [(keys.UTXO, point, None) for point, _ in diff.spent]
    rows += [(keys.UTXO, point, encode(utxo)) for point, utxo in diff.created]
    rows.append((keys.UNDO, number, encode(UndoRow(diff.spent, diff.created))))
    rows.append((keys.HEIGHTS, block.hash, number))
    archived = (*transactions, block.body.reward)
    rows += transaction_rows(block.height, archived)
    if address_index:
        rows += AddressIndex(engine).rows(block.height, address_changes(archived, diff))
    return rows
