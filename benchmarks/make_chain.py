"""Makes a long chain once and keeps it: three validators' real signatures, certificates and proofs.

    .venv/bin/python benchmarks/make_chain.py [--blocks 10000] [--payments 5] [--cache .cache]

Each block archives so many payments under one certificate. The directory that it prints holds
``genesis.json`` and a node's ``store``; it is made again when the code makes other blocks of it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from timecoin import params
from timecoin.chain.accept import CheckedBlock
from timecoin.chain.commit import Chain
from timecoin.consensus.sortition import alpha
from timecoin.crypto import vrf
from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import SigningKey, VerifiedCache
from timecoin.ledger.block import Block, Resolution
from timecoin.ledger.connect import Coin
from timecoin.ledger.genesis import (
    Allocation,
    Genesis,
    GenesisValidator,
    genesis_to_json,
    genesis_utxos,
)
from timecoin.ledger.memo import SpendMemo
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.signing import sign_transaction
from timecoin.ledger.transaction import Transaction, TxInput, TxOutput, outpoint, split_outpoint
from timecoin.ledger.utxo import Utxo
from timecoin.node.config import GENESIS_NAME
from timecoin.node.preflight import STORE_DIRECTORY
from timecoin.quorum.bitmap import make_bitmap
from timecoin.quorum.certificate import (
    BatchCertificate,
    BatchVote,
    BlockCertificate,
    BlockSignature,
)
from timecoin.quorum.statement import precommit_statement, vote_statement
from timecoin.store.chainstore import EngineChainStore
from timecoin.store.engine import Engine
from timecoin.store.memory import MemoryEngine
from timecoin.store.rocks import RocksEngine
from timecoin.store.schema import claim_store

VALIDATORS = 3
PURSES = 64
COIN_UNITS = 1_000_000 * params.UNITS_PER_TIME
START_MS = 1_700_000_000_000
SLOT_MS = 10_000
EXPIRY_HEIGHT = 2**32


@dataclass(frozen=True, slots=True)
class Archive:
    """What one block archives: see ``consensus.ports.Contents``."""

    transactions: tuple[Transaction, ...]
    certificates: tuple[BatchCertificate, ...]
    resolutions: tuple[Resolution, ...] = ()
    avs_changes: tuple[bytes, ...] = ()
    evidence: tuple[bytes, ...] = ()


class Maker:
    """The validators and owners of one chain, and the blocks that they make."""

    def __init__(self, payments: int) -> None:
        self._payments = payments
        self._keys = [SigningKey(f"validator {n}".encode().ljust(32)) for n in range(VALIDATORS)]
        self._purses = [SigningKey(f"purse {n}".encode().ljust(32)) for n in range(PURSES)]
        self._signers = sorted(self._keys, key=lambda key: key.public)
        self.genesis = Genesis(
            version=1,
            network=params.Network.DEVNET,
            time_ms=START_MS,
            slot_ms=SLOT_MS,
            base_reward=params.UNITS_PER_TIME,
            validators=tuple(
                GenesisValidator(
                    pubkey=key.public,
                    vrf_pubkey=vrf.vrf_public(key.seed),
                    weight=100,
                    payout_hash=hash160(key.public),
                    expiry_height=EXPIRY_HEIGHT,
                )
                for key in self._keys
            ),
            allocations=tuple(
                Allocation(hash160(purse.public), COIN_UNITS) for purse in self._purses
            ),
        )
        self._owners = {pay_to_pubkey_hash(hash160(key.public)): key for key in self._purses}
        self._coins: deque[Coin] = deque(genesis_utxos(self.genesis))

    def open(self, engine: Engine) -> Chain:
        """The chain on ``engine``."""
        claim_store(engine, self.genesis.hash)
        verify = VerifiedCache(bytes(32), 10_000).check
        return Chain(self.genesis, EngineChainStore(engine), verify, SpendMemo(10_000))

    def grow(self, chain: Chain, blocks: int) -> Iterator[int]:
        """Add ``blocks`` blocks; yields each height."""
        for _ in range(blocks):
            contents = self._contents(chain.tip_height)
            checked = self._propose(chain, contents)
            chain.commit(checked, self._certify(checked.block))
            yield chain.tip_height

    def _contents(self, anchor: int) -> Archive:
        made = [self._pay(number) for number in range(self._payments)]
        size = params.BATCH_MAX_TRANSACTIONS
        batches = [made[start : start + size] for start in range(0, len(made), size)]
        certificates = tuple(self._vote(batch, anchor) for batch in batches)
        return Archive(tuple(made), certificates)

    def _pay(self, number: int) -> Transaction:
        """The coin that has rested longest, cut in two while it is worth it."""
        point, utxo = self._coins.popleft()
        key = self._owners[utxo.script]
        to = pay_to_pubkey_hash(hash160(self._purses[number % PURSES].public))
        fee = params.MIN_FEE_UNITS
        value = utxo.value - fee
        outputs: Sequence[TxOutput] = (TxOutput(value // 2, to), TxOutput(value - value // 2, to))
        if value < 1_000 * fee:
            outputs = (TxOutput(value, to),)
        unsigned = Transaction(
            version=params.TX_VERSION,
            inputs=(TxInput(*split_outpoint(point), params.SEQUENCE_FINAL),),
            outputs=tuple(outputs),
            lock_time=0,
            witnesses=((),),
        )
        tx = sign_transaction(unsigned, (utxo,), self.genesis.chain_id, (key,))
        self._coins.extend(
            (outpoint(tx.txid, index), Utxo(output.value, output.lock_script, 0, False))
            for index, output in enumerate(tx.outputs)
        )
        return tx

    def _vote(self, batch: Sequence[Transaction], anchor: int) -> BatchCertificate:
        leaves = tuple(tx.txid for tx in batch)
        bitmap = make_bitmap(len(leaves), ())
        unsigned = BatchCertificate(anchor, leaves, ())
        statement = vote_statement(
            self.genesis.chain_id, anchor, unsigned.root, len(leaves), bitmap
        )
        votes = tuple(
            BatchVote(index, bitmap, key.sign(statement)) for index, key in enumerate(self._signers)
        )
        return BatchCertificate(anchor, leaves, votes)

    def _propose(self, chain: Chain, contents: Archive) -> CheckedBlock:
        slot = chain.tip.slot + 1
        key = self._keys[slot % VALIDATORS]
        proof = vrf.prove(key.seed, alpha(self.genesis.chain_id, chain.tip.seed, slot))
        return chain.assemble(contents, slot, 0, key.public, proof, slot * SLOT_MS + 500)

    def _certify(self, block: Block) -> BlockCertificate:
        statement = precommit_statement(self.genesis.chain_id, block.height, 0, block.hash)
        signatures = tuple(
            BlockSignature(index, key.sign(statement)) for index, key in enumerate(self._signers)
        )
        return BlockCertificate(block.height, 0, block.hash, signatures)


def ensure_chain(blocks: int, payments: int, cache: Path) -> Path:
    """The directory of a chain of ``blocks`` blocks, made now if it is not there yet."""
    probe = Maker(payments)
    first = probe.open(MemoryEngine())
    for _ in probe.grow(first, 1):
        pass
    # Rules that make another first block make another chain.
    place = cache / f"chain-{blocks}-{payments}-{first.tip_hash.hex()[:16]}"
    if place.exists():
        return place
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="chain-", dir=cache) as name:
        made = Path(name) / place.name  # another process may be making the same one
        made.mkdir()
        maker = Maker(payments)
        (made / GENESIS_NAME).write_text(genesis_to_json(maker.genesis), "utf-8")
        engine = RocksEngine(made / STORE_DIRECTORY)
        chain = maker.open(engine)
        began_s = time.monotonic()
        for height in maker.grow(chain, blocks):
            if height % 1_000 == 0:
                took_s = time.monotonic() - began_s
                print(f"  {height} of {blocks} blocks, {took_s:.0f} s", flush=True)
        engine.close()
        if not place.exists():
            made.rename(place)
    return place


def main() -> None:
    """Make the chain and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--blocks", type=int, default=10_000)
    parser.add_argument("--payments", type=int, default=5, help="in each block")
    parser.add_argument("--cache", type=Path, default=Path(".cache"))
    options = parser.parse_args()
    print(ensure_chain(options.blocks, options.payments, options.cache))


if __name__ == "__main__":
    main()
