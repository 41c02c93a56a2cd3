"""What the index of addresses must hold, found by walking everything; and what it holds."""

from __future__ import annotations

from timecoin.chain.addresses import AddressViews, owner_script
from timecoin.chain.commit import Chain
from timecoin.ledger.genesis import genesis_utxos
from timecoin.ledger.transaction import Outpoint
from timecoin.store.chainstore import EngineChainStore

Shown = dict[bytes, tuple[list[Outpoint], list[tuple[int, int, bytes]]]]
"""By script: unspent outpoints in order; height, position, txid with newest first."""


def views(chain: Chain) -> AddressViews:
    """The index of ``chain``, whose store is one on an engine."""
    assert isinstance(chain._store, EngineChainStore)
    return AddressViews(chain._store)


def expected(chain: Chain) -> Shown:
    """Every owner ever seen, from the UTXO set and the blocks alone."""
    unspent: dict[bytes, list[Outpoint]] = {}
    history: dict[bytes, list[tuple[int, int, bytes]]] = {}
    for point, utxo in chain.utxos():
        owner = owner_script(utxo.script)
        assert owner is not None
        unspent.setdefault(owner, []).append(point)
    outputs = {point: utxo.script for point, utxo in genesis_utxos(chain._genesis)}
    for height in range(1, chain.tip.height + 1):
        block = chain.block(height)
        assert block is not None
        bodies = [chain.transaction(entry.wtxid) for entry in block.body.entries]
        transactions = [tx for tx in (*bodies, block.body.reward) if tx is not None]
        assert len(transactions) == len(bodies) + 1
        for tx in transactions:
            for index, output in enumerate(tx.outputs):
                outputs[tx.txid + index.to_bytes(4, "little")] = output.lock_script
        for position, tx in enumerate(transactions):
            touched = [output.lock_script for output in tx.outputs]
            touched += [outputs[point] for point in tx.outpoints if point in outputs]
            for owner in {owner_script(script) for script in touched} - {None}:
                assert owner is not None
                history.setdefault(owner, []).insert(0, (height, position, tx.txid))
    owners = unspent.keys() | history.keys()
    return {owner: (unspent.get(owner, []), history.get(owner, [])) for owner in owners}


def shown(chain: Chain, owners: Shown, limit: int = 2) -> Shown:
    """What the index says of ``owners``, read in pages of ``limit``."""
    reader = views(chain)
    found: Shown = {}
    for owner in owners:
        coins, entries = [], []
        after, before = None, None
        while True:
            coin_page = reader.coins(owner, after, limit)
            coins += [point for point, _ in coin_page.coins]
            after = coin_page.next
            if after is None:
                break
        while True:
            page = reader.history(owner, before, limit)
            entries += [(*entry.place, entry.txid) for entry in page.entries]
            before = page.next
            if before is None:
                break
        found[owner] = (coins, entries)
    return found
