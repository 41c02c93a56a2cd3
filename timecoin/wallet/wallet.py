"""Own keys and own coins together: what RPC asks, what the node tells.

A payment made here is not sent: the caller gives it to the node, and calls :meth:`Wallet.abandon`
when the node refuses it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice, takewhile

from timecoin import params
from timecoin.chain.commit import BlockConnected
from timecoin.crypto.keys import verify
from timecoin.finality.events import Status
from timecoin.ledger.connect import Coin
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.transaction import Outpoint, Transaction, TxOutput
from timecoin.masternodes.changes import Leave, sign_leave
from timecoin.wallet.book import HistoryBook
from timecoin.wallet.build import Payment, build_merge, build_payment, build_release
from timecoin.wallet.coins import Balance, Coins, OwnCoin, Standing
from timecoin.wallet.derive import Branch
from timecoin.wallet.errors import KeyMissing, LockRefused, StakeRefused, WalletLocked
from timecoin.wallet.history import Effect, FindOutput, HistoryEntry, effect_of
from timecoin.wallet.keyring import KeyRing
from timecoin.wallet.keystore import Keystore
from timecoin.wallet.listing import list_entries
from timecoin.wallet.locks import CoinLocks
from timecoin.wallet.ports import HistoryRows, WalletChain
from timecoin.wallet.rawsign import Prevouts, RawSigned, sign_raw
from timecoin.wallet.scan import BlockContent, BlockReader, ScanProgress, first_height_since
from timecoin.wallet.stakes import Unstaking

MAX_CONFIRMATIONS = 9_999_999
"""Bitcoin Core's default bound of ``listunspent``: all."""

_CERTIFIED = frozenset({Status.CERTIFIED, Status.CERTIFIED_STALE, Status.FINAL})
_GONE = frozenset({Status.REJECTED, Status.EXPIRED})


class Wallet(KeyRing):
    """The coins that the keys of one keystore can spend on one chain."""

    def __init__(
        self, keystore: Keystore, chain_id: bytes, chain: WalletChain, rows: HistoryRows
    ) -> None:
        """Walks over the whole UTXO set once; the history is whole after :meth:`catch_up`.

        ``rows`` keep the history; without those of its last life it is read from the chain again.
        """
        super().__init__(keystore)
        self._chain_id = chain_id
        self._chain = chain
        self._rows = rows
        self._follow_keys(keystore)

    def _follow_keys(self, keystore: Keystore) -> None:
        self.keystore = keystore
        self._coins = Coins(keystore)
        self._locks = CoinLocks(keystore.kept_locks, keystore.keep_locks)
        self._first_height = first_height_since(self._chain, keystore.created_ms)
        self._book = HistoryBook(self._rows, keystore.fingerprint, self._first_height)
        self.unstaking = Unstaking(self._rows, keystore.fingerprint)
        self._blocks = BlockReader(self._chain, keystore, self._book, self._walk)
        self._walk()

    def exchange(self, keystore: Keystore, waiting: Iterable[tuple[Transaction, Status]]) -> None:
        """Be the wallet of ``keystore`` from now on; the history is whole after :meth:`catch_up`.

        ``waiting``: see :meth:`restore`.
        """
        self._follow_keys(keystore)
        self.restore(waiting)

    def unlock_with(self, entropy: bytes) -> None:
        """Make payments possible; ``entropy`` comes from ``keystore.unsealed``."""
        if self.keystore.unlock_with(entropy):
            self._walk()
            self._book.rewind(self._first_height)

    # reading

    def balance(self, minconf: int = 0, script: bytes | None = None) -> Balance:
        """Sums over coins with ``minconf`` confirmations or more; being final is worth one.

        ``script`` restricts them to one lock script.
        """
        return self._coins.balance(minconf, script)

    def unspent(
        self,
        minconf: int = 1,
        maxconf: int = MAX_CONFIRMATIONS,
        scripts: Collection[bytes] | None = None,
    ) -> Iterator[OwnCoin]:
        """Coins with ``minconf`` to ``maxconf`` confirmations, oldest first.

        Not those that rest as rewards or stakes, nor what our own payments spend, nor locked
        ones. ``scripts`` restricts them to these lock scripts. A final coin counts as one
        confirmation for ``minconf``. To be taken within one turn of the loop.
        """
        return (
            coin
            for coin in self._coins
            if coin.standing in (Standing.SPENDABLE, Standing.PENDING)
            and coin.point not in self._locks
            and coin.satisfies(minconf)
            and coin.confirmations <= maxconf
            and (scripts is None or coin.utxo.script in scripts)
        )

    def effect_of(self, tx: Transaction, find_output: FindOutput) -> Effect:
        """What ``tx`` means for us; see :func:`timecoin.wallet.history.effect_of`."""
        return effect_of(tx, find_output, self.keystore.owner)

    def follows(self, txid: bytes) -> bool:
        """Whether ``txid`` concerns us and waits to be archived."""
        return self._coins.follows(txid)

    def entries(self) -> Iterator[HistoryEntry]:
        """The history, output by output, newest first; what waits to be archived comes first.

        What the pool refused or forgot is not in it, nor are genesis allocations: no transaction
        made them. It may be taken over several turns of the loop: what is archived meanwhile may
        come twice then.
        """
        return list_entries(
            self._book,
            self._coins,
            self.keystore.owner,
            self.label_of,
            lambda: self._chain.tip_height,
        )

    def transactions(self, count: int, skip: int = 0) -> list[HistoryEntry]:
        """``count`` entries of the history after the newest ``skip``, newest first."""
        return list(islice(self.entries(), skip, skip + count))

    def since(self, height: int) -> list[HistoryEntry]:
        """The entries that wait or stand in a block above ``height``, newest first."""
        return list(
            takewhile(lambda each: each.height is None or each.height > height, self.entries())
        )

    def catch_up(self) -> Iterator[ScanProgress]:
        """Read the blocks that the history has not seen, one at each step; see ``BlockReader``."""
        return self._blocks.catch_up()

    def rescan(self, first: int, last: int | None = None) -> Iterator[ScanProgress]:
        """Read the blocks from ``first`` to ``last`` (None: the tip) once more, one at each step.

        ``ValueError`` for blocks that there are not.
        """
        return self._blocks.rescan(first, last)

    # paying

    def send(
        self,
        outputs: Sequence[TxOutput],
        subtract_fee_from: Sequence[int] = (),
        fee_rate: int = params.MIN_FEE_RATE_UNITS_PER_BYTE,
    ) -> Transaction:
        """A signed payment of ``outputs`` (one or many), whose coins are taken from now on.

        ``fee_rate`` is in units per byte; see :func:`timecoin.wallet.build.build_payment`.
        :class:`WalletLocked`, :class:`InsufficientFunds`, :class:`PaymentRefused` or
        :class:`WalletFileError`: then nothing has changed.
        """
        return self._pay(
            lambda coins, change: build_payment(outputs, coins, change, subtract_fee_from, fee_rate)
        ).tx

    def merge(
        self,
        min_count: int = 2,
        max_count: int = 100,
        script: bytes | None = None,
        fee_rate: int = params.MIN_FEE_RATE_UNITS_PER_BYTE,
    ) -> Payment:
        """A signed transaction that makes one coin of ``min_count`` to ``max_count`` small ones.

        With ``script`` of the coins that it locks alone, and to it again; otherwise of all, to a
        fresh change key. Its errors are those of :meth:`send`.
        """
        return self._pay(
            lambda coins, change: build_merge(
                [coin for coin in coins if script in (None, coin[1].script)],
                script or change,
                min_count,
                max_count,
                fee_rate,
            )
        )

    def unstake(
        self, point: Outpoint, fee_rate: int = params.MIN_FEE_RATE_UNITS_PER_BYTE
    ) -> Transaction:
        """The signed transaction that returns the stake ``point`` to a fresh own key.

        Nobody takes it before the masternode has let go (PROTOCOL 4): it stands in ``unstaking``
        from now on, and asked again it is the same. :class:`WalletLocked`, :class:`StakeRefused`
        for what is no unspent stake of ours, :class:`WalletFileError`: nothing has changed.
        """
        known = self.unstaking.of(point)
        if known is not None:
            return known
        if self.locked:
            raise WalletLocked
        coin = next((each for each in self._coins if each.point == point), None)
        if coin is None or coin.standing is not Standing.STAKED:
            raise StakeRefused(f"output {point.hex()} is no stake of this wallet")
        script = pay_to_pubkey_hash(self.keystore.peek(Branch.CHANGE))
        payment = build_release((point, coin.utxo), script, fee_rate)
        self.keystore.take(Branch.CHANGE)
        tx = self.sign_raw(payment.tx, {}).tx
        self.unstaking.put(point, tx)
        return tx

    def sign_leave(self, owner_hash: bytes, pubkey: bytes, joined_height: int) -> Leave:
        """The leave of the masternode ``pubkey`` by the owner of its stake.

        :class:`WalletLocked`, :class:`KeyMissing` when the owner's key is not ours.
        """
        key = self.find_key(owner_hash)
        if key is None:
            raise KeyMissing("the owner's key of the stake is not in this wallet")
        return sign_leave(key, self._chain_id, pubkey, joined_height)

    def _pay(self, build: Callable[[list[Coin], bytes], Payment]) -> Payment:
        """Sign what ``build`` makes of the coins that may be spent and a change script."""
        if self.locked:
            raise WalletLocked
        free = [coin for coin in self._coins.spendable() if coin[0] not in self._locks]
        change_script = pay_to_pubkey_hash(self.keystore.peek(Branch.CHANGE))
        payment = build(free, change_script)
        if any(output.lock_script == change_script for output in payment.tx.outputs):
            self.keystore.take(Branch.CHANGE)
        tx = self.sign_raw(payment.tx, {}).tx
        self._coins.follow(tx, final=False)
        return dataclasses.replace(payment, tx=tx)

    def sign_raw(self, tx: Transaction, prevouts: Prevouts) -> RawSigned:
        """``tx`` signed with all keys of this wallet; see :mod:`timecoin.wallet.rawsign`.

        ``prevouts`` are outputs that it spends, as far as they are not this wallet's coins.
        :class:`WalletLocked`, ``ValueError`` for a wrong number of witnesses.
        """
        if self.locked:
            raise WalletLocked
        own = {point: self._coins.find_output(point) for point in tx.outpoints}
        known = {**prevouts, **{point: output for point, output in own.items() if output}}
        return sign_raw(tx, known, self.find_key, self._chain_id, verify)

    # coins left alone

    def lock_coins(self, points: Sequence[Outpoint], persistent: bool = False) -> None:
        """Spend none of ``points`` until they are unlocked, or the wallet is opened anew.

        With ``persistent`` also after that. :class:`LockRefused` when one is no unspent coin of
        ours or (without ``persistent``) locked already, :class:`WalletFileError`: nothing has
        changed.
        """
        for point in points:
            if not self._coins.is_unspent(point):
                raise LockRefused(f"output {point.hex()} is no unspent coin of this wallet")
        self._locks.lock(points, persistent)

    def unlock_coins(self, points: Sequence[Outpoint] | None = None) -> None:
        """Let ``points`` be spent again, or all that are locked.

        :class:`LockRefused` when one is not locked, :class:`WalletFileError`: nothing has changed.
        """
        if points is None:
            self._locks.unlock_all()
        else:
            self._locks.unlock(points)

    def locked_coins(self) -> tuple[Outpoint, ...]:
        """The coins that are left alone, longest locked first."""
        return tuple(self._locks)

    def abandon(self, txid: bytes) -> tuple[bytes, ...]:
        """Free the coins of a payment that the node refused, and of payments out of it.

        Their txids; none for a transaction that does not wait here. ``ValueError`` for a final
        one, which will be archived.
        """
        if self._coins.is_final(txid):
            raise ValueError(f"{txid.hex()} is final")
        return self._coins.drop(txid)

    # hearing

    def begin_anew(self) -> None:
        """The chain has moved to a later block at once: what is unspent there is read anew."""
        self._walk()
        for _ in self.catch_up():
            pass

    def on_block(self, connected: BlockConnected) -> None:
        """A block was archived."""
        self._coins.connect(
            connected.block.height,
            (*connected.transactions, connected.block.body.reward),
            connected.spent,
            connected.created,
        )
        spent = [point for point, _ in connected.spent]
        self._locks.forget(spent)
        self.unstaking.forget(spent)
        self._blocks.connect(
            BlockContent(
                connected.block.height,
                connected.block.header.slot_time,
                (*connected.transactions, connected.block.body.reward),
                connected.spent,
            )
        )

    def on_status(self, txid: bytes, status: Status, tx: Transaction | None) -> None:
        """``txid`` has reached ``status``; ``tx`` is its body if the pool holds it."""
        if status in _GONE:
            self._coins.drop(txid)
        elif tx is not None:
            self._follow(tx, status)

    def restore(self, waiting: Iterable[tuple[Transaction, Status]]) -> None:
        """The pool's transactions and their status at start, in any order."""
        left = list(waiting)
        while True:
            foreign = [item for item in left if not self._follow(*item)]
            if len(foreign) == len(left):
                return
            left = foreign

    def _follow(self, tx: Transaction, status: Status) -> bool:
        """Follow ``tx`` if it concerns us; whether it does."""
        if not self._coins.follows(tx.txid):
            if not self._coins.concerns(tx, certified=status in _CERTIFIED):
                return False
            # Signals of one turn come one after the other: a block may be known here already
            # that the sender of this one has yet to hear of.
            if self._chain.archived(tx.txid) is not None:
                return False
        self._coins.follow(tx, final=status is Status.FINAL)
        return True

    def _walk(self) -> None:
        self._coins.rescan(self._chain.utxos, self._chain.tip_height)
