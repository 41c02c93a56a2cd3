"""A wallet, and a world around it: a chain by the ledger's own rules and a pool of promises."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support import ledger_kit
from timecoin import params
from timecoin.chain.commit import BlockConnected
from timecoin.crypto.keys import verify
from timecoin.finality.events import Status
from timecoin.ledger.block import Block, Body, Entry, Header
from timecoin.ledger.check import check_spend, check_structure
from timecoin.ledger.connect import Coin, UtxoDiff, connect
from timecoin.ledger.rewards import reward_transaction
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.transaction import Outpoint, Transaction, TxOutput, outpoint, split_outpoint
from timecoin.ledger.utxo import Utxo
from timecoin.params import Network
from timecoin.quorum.certificate import BlockCertificate
from timecoin.store.memory import MemoryEngine
from timecoin.store.walletstore import WalletStore
from timecoin.wallet.derive import Account, Branch, KeyPath
from timecoin.wallet.keystore import Keystore
from timecoin.wallet.sealing import Sealing
from timecoin.wallet.wallet import Wallet
from timecoin.wallet.words import seed_of, words_of

NETWORK = Network.DEVNET
ENTROPY = bytes(range(32))
SEED = seed_of(words_of(ENTROPY))
CHAIN_ID = b"wallet tests"
CREATED_MS = 1_700_000_000_000
SLOT_MS = 600_000
STRANGER = ledger_kit.key(77)
TIME = params.UNITS_PER_TIME


def entropy() -> Sealing:
    """The cheapest way of sealing, with bytes that never repeat."""
    drawn = iter(range(2**32))

    def draw(count: int) -> bytes:
        return hashlib.shake_128(next(drawn).to_bytes(4, "little")).digest(count)

    return Sealing(draw, ops=1, mem_bytes=16 * 1024)


def new_keystore(path: Path, passphrase: str | None = None) -> Keystore:
    """A keystore of :data:`ENTROPY`; with a passphrase it is sealed but unlocked."""
    sealing = None if passphrase is None else entropy()
    return Keystore.create(path, NETWORK, ENTROPY, CREATED_MS, passphrase, sealing)


@functools.cache
def script_at(branch: Branch, index: int) -> bytes:
    """The lock script of a key of :data:`SEED`."""
    return pay_to_pubkey_hash(Account(SEED).pubkey_hash(KeyPath(branch, index)))


def payment_to(script: bytes, units: int, number: int) -> tuple[Coin, Transaction]:
    """A stranger's coin, and the transaction that pays ``units`` of it to ``script``."""
    point = outpoint(hashlib.sha256(b"mint" + number.to_bytes(8, "little")).digest(), 0)
    coin = (point, Utxo(units + TIME, ledger_kit.script_of(STRANGER), 0, coinbase=False))
    return coin, ledger_kit.pay(CHAIN_ID, STRANGER, coin, script, units)


def fresh_rows() -> WalletStore:
    """A history that nothing was written to."""
    return WalletStore(MemoryEngine())


class World:
    """Implements ``WalletChain``; its pool takes what the ledger's rules allow."""

    def __init__(self) -> None:
        self.coins = ledger_kit.Coins()
        self.tip_height = 0
        self.pool: dict[bytes, tuple[Transaction, Status]] = {}
        self._archived: dict[bytes, int] = {}
        self._minted = 0
        self.blocks: dict[int, Block] = {}
        self._undo: dict[int, UtxoDiff] = {}
        self._bodies: dict[bytes, Transaction] = {}

    # the wallet's port

    def archived(self, txid: bytes) -> int | None:
        """Height of the block that archived ``txid``."""
        return self._archived.get(txid)

    def utxos(self) -> Iterator[Coin]:
        """The whole UTXO set."""
        return iter(sorted(self.coins.by_point.items()))

    @property
    def first_undo(self) -> int:
        """The lowest height from which on every block is here."""
        return 1

    def header(self, height: int) -> Header | None:
        """The header of the block at ``height``."""
        block = self.blocks.get(height)
        return None if block is None else block.header

    def block(self, height: int) -> Block | None:
        """The block at ``height``."""
        return self.blocks.get(height)

    def undo(self, height: int) -> UtxoDiff | None:
        """What that block spent and created."""
        return self._undo.get(height)

    def transaction(self, wtxid: bytes) -> Transaction | None:
        """The archived transaction ``wtxid``."""
        return self._bodies.get(wtxid)

    # transactions

    def mint(self, coin: Coin) -> None:
        """Let ``coin`` have been there all the time."""
        self.coins.by_point[coin[0]] = coin[1]

    def promise(self, script: bytes, units: int) -> Transaction:
        """A stranger pays to ``script``; the payment waits in the pool."""
        self._minted += 1
        coin, tx = payment_to(script, units, self._minted)
        self.mint(coin)
        self.accept(tx)
        return tx

    def spent(self, tx: Transaction) -> list[Utxo]:
        """What ``tx`` spends: of the chain, or of final transactions. ``KeyError`` if missing."""
        return [self._output(point) for point in tx.outpoints]

    def accept(self, tx: Transaction) -> None:
        """Take ``tx`` into the pool; ``RuleBroken`` if the ledger refuses it."""
        check_structure(tx)
        check_spend(tx, self.spent(tx), CHAIN_ID, self.tip_height + 1, 0, verify)
        self.pool[tx.txid] = (tx, Status.SEEN)

    def reach(self, tx: Transaction, status: Status) -> None:
        """``tx`` of the pool has ``status`` now."""
        self.pool[tx.txid] = (tx, status)

    def remove(self, txid: bytes) -> None:
        """``txid`` and its descendants leave the pool."""
        del self.pool[txid]
        for tx, _ in list(self.pool.values()):
            if tx.txid in self.pool and any(point[:32] == txid for point in tx.outpoints):
                self.remove(tx.txid)

    def archive(
        self, transactions: Sequence[Transaction], reward: Sequence[TxOutput] = ()
    ) -> BlockConnected:
        """The next block; conflicting transactions leave the pool."""
        self.tip_height += 1
        made = reward or [TxOutput(TIME, ledger_kit.script_of(STRANGER))]
        reward_tx = reward_transaction(self.tip_height, made)
        diff = connect(transactions, reward_tx, self.coins, self.tip_height)
        self.coins.apply(diff)
        for tx in transactions:
            self.pool.pop(tx.txid, None)
            self._archived[tx.txid] = self.tip_height
        gone = {point for tx in transactions for point in tx.outpoints}
        for other, _ in list(self.pool.values()):
            if other.txid in self.pool and gone.intersection(other.outpoints):
                self.remove(other.txid)
        entries = tuple(Entry(tx.txid, tx.wtxid) for tx in transactions)
        block = Block(_header(self.tip_height), Body(reward_tx, entries, (), (), (), ()))
        self.blocks[self.tip_height] = block
        self._undo[self.tip_height] = diff
        self._bodies.update((tx.wtxid, tx) for tx in transactions)
        certificate = BlockCertificate(self.tip_height, 0, block.hash, ())
        return BlockConnected(block, certificate, tuple(transactions), diff.spent, diff.created)

    def _output(self, point: Outpoint) -> Utxo:
        archived = self.coins.utxo(point)
        if archived is not None:
            return archived
        txid, index = split_outpoint(point)
        tx, status = self.pool[txid]
        if status is not Status.FINAL:
            raise KeyError(point)
        output = tx.outputs[index]
        return Utxo(output.value, output.lock_script, self.tip_height + 1, coinbase=False)


class Fixture:
    """A world and a wallet in it that hears everything."""

    def __init__(self, path: Path, passphrase: str | None = None) -> None:
        self.path = path
        self.world = World()
        self.keystore = new_keystore(path, passphrase)
        self.rows = fresh_rows()
        self.wallet = Wallet(self.keystore, CHAIN_ID, self.world, self.rows)

    def receive(self, units: int, index: int = 0) -> Transaction:
        """A final payment of ``units`` to the receiving key ``index``."""
        tx = self.world.promise(script_at(Branch.RECEIVE, index), units)
        self.reach(tx, Status.FINAL)
        return tx

    def reach(self, tx: Transaction, status: Status) -> None:
        """``tx`` has ``status``, and the wallet hears it."""
        self.world.reach(tx, status)
        self.wallet.on_status(tx.txid, status, tx)

    def send(self, units: int, *subtract_fee_from: int) -> Transaction:
        """Pay ``units`` to the stranger; the pool takes it."""
        tx = self.wallet.send([ledger_kit.output(STRANGER, units)], subtract_fee_from)
        self.world.accept(tx)
        self.reach(tx, Status.SEEN)
        return tx

    def block(self, *transactions: Transaction, reward: Sequence[TxOutput] = ()) -> None:
        """Archive ``transactions``, and the wallet hears it."""
        self.wallet.on_block(self.world.archive(transactions, reward))

    def restart(self) -> None:
        """A new wallet on what the disk, the chain and the pool hold."""
        self.wallet = Wallet(self.keystore, CHAIN_ID, self.world, self.rows)
        self.wallet.restore(list(self.world.pool.values()))


def _header(height: int) -> Header:
    blank, slot_time = bytes(32), CREATED_MS + height * SLOT_MS
    return Header(
        1, CHAIN_ID, height, height, slot_time, blank, blank, 0, bytes(80), blank, 0, *(blank,) * 4
    )
