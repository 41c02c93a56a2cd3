"""Own keys and own coins together: what RPC asks, what the node tells.

A payment made here is not sent: the caller gives it to the node, and calls :meth:`Wallet.abandon`
when the node refuses it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from timecoin.chain.commit import BlockConnected
from timecoin.crypto.address import encode_address
from timecoin.finality.events import Status
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.signing import sign_transaction
from timecoin.ledger.transaction import Transaction, TxOutput
from timecoin.wallet.build import build_payment
from timecoin.wallet.coins import Balance, Coins, OwnCoin, Standing
from timecoin.wallet.derive import Branch
from timecoin.wallet.errors import WalletLocked
from timecoin.wallet.history import Effect, FindOutput, effect_of
from timecoin.wallet.keystore import Keystore
from timecoin.wallet.ports import WalletChain

MAX_CONFIRMATIONS = 9_999_999
"""Bitcoin Core's default bound of ``listunspent``: all."""

_CERTIFIED = frozenset({Status.CERTIFIED, Status.CERTIFIED_STALE, Status.FINAL})
_GONE = frozenset({Status.REJECTED, Status.EXPIRED})


class Wallet:
    """The coins that the keys of one keystore can spend on one chain."""

    def __init__(self, keystore: Keystore, chain_id: bytes, chain: WalletChain) -> None:
        """Walks over the whole UTXO set once."""
        self.keystore = keystore
        self._chain_id = chain_id
        self._chain = chain
        self._coins = Coins(keystore)
        self._rescan()

    # keys

    @property
    def locked(self) -> bool:
        """Whether payments need the passphrase first."""
        return self.keystore.locked

    def new_address(self) -> str:
        """A fresh address to be paid at.

        :class:`WalletLocked` when a locked wallet has none left, :class:`WalletFileError`.
        """
        return encode_address(self.keystore.network, self.keystore.take(Branch.RECEIVE))

    def is_mine(self, script: bytes) -> bool:
        """Whether a key of ours spends ``script``."""
        return self.keystore.owner(script) is not None

    def is_change(self, script: bytes) -> bool:
        """Whether ``script`` pays to a key that no one else was told."""
        path = self.keystore.owner(script)
        return path is not None and path.branch is Branch.CHANGE

    def unlock_with(self, entropy: bytes) -> None:
        """Make payments possible; ``entropy`` comes from ``keystore.unsealed``."""
        if self.keystore.unlock_with(entropy):
            self._rescan()

    def lock(self) -> None:
        """Forget the private keys; :class:`WrongState` for a wallet without passphrase."""
        self.keystore.lock()

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
    ) -> list[OwnCoin]:
        """Coins with ``minconf`` to ``maxconf`` confirmations, oldest first.

        Not those that rest as rewards or stakes, nor what our own payments spend. ``scripts``
        restricts them to these lock scripts. A final coin counts as one confirmation for
        ``minconf``.
        """
        return sorted(
            (
                coin
                for coin in self._coins
                if coin.standing in (Standing.SPENDABLE, Standing.PENDING)
                and coin.satisfies(minconf)
                and coin.confirmations <= maxconf
                and (scripts is None or coin.utxo.script in scripts)
            ),
            key=lambda coin: (-coin.confirmations, coin.point),
        )

    def effect_of(self, tx: Transaction, find_output: FindOutput) -> Effect:
        """What ``tx`` means for us; see :func:`timecoin.wallet.history.effect_of`."""
        return effect_of(tx, find_output, self.keystore.owner)

    def follows(self, txid: bytes) -> bool:
        """Whether ``txid`` concerns us and waits to be archived."""
        return self._coins.follows(txid)

    # paying

    def send(
        self, outputs: Sequence[TxOutput], subtract_fee_from: Sequence[int] = ()
    ) -> Transaction:
        """A signed payment of ``outputs``, whose coins are taken from now on.

        :class:`WalletLocked`, :class:`InsufficientFunds`, :class:`PaymentRefused` or
        :class:`WalletFileError`: then nothing has changed.
        """
        if self.locked:
            raise WalletLocked
        paths = {
            coin.point: (coin.utxo, coin.path)
            for coin in self._coins
            if coin.standing is Standing.SPENDABLE
        }
        payment = build_payment(
            outputs,
            ((point, utxo) for point, (utxo, _) in paths.items()),
            pay_to_pubkey_hash(self.keystore.peek(Branch.CHANGE)),
            subtract_fee_from,
        )
        if payment.has_change:
            self.keystore.take(Branch.CHANGE)
        tx = sign_transaction(
            payment.tx,
            [utxo for _, utxo in payment.spent],
            self._chain_id,
            [self.keystore.key(paths[point][1]) for point, _ in payment.spent],
        )
        self._coins.follow(tx, final=False)
        return tx

    def abandon(self, txid: bytes) -> tuple[bytes, ...]:
        """Free the coins of a payment that the node refused, and of payments out of it.

        Their txids; none for a transaction that does not wait here. ``ValueError`` for a final
        one, which will be archived.
        """
        if self._coins.is_final(txid):
            raise ValueError(f"{txid.hex()} is final")
        return self._coins.drop(txid)

    # hearing

    def on_block(self, connected: BlockConnected) -> None:
        """A block was archived."""
        self._coins.connect(
            connected.block.height,
            (*connected.transactions, connected.block.body.reward),
            connected.spent,
            connected.created,
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

    def _rescan(self) -> None:
        self._coins.rescan(self._chain.utxos, self._chain.tip_height)
