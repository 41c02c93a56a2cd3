"""Owners of a simulated world's masternodes: they stake, leave, and take their stakes back."""

from __future__ import annotations

from timecoin import params
from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import SigningKey
from timecoin.crypto.vrf import vrf_public
from timecoin.ledger.script import pay_to_pubkey_hash, stake
from timecoin.ledger.signing import sign_transaction
from timecoin.ledger.transaction import (
    Outpoint,
    Transaction,
    TxInput,
    TxOutput,
    outpoint,
    split_outpoint,
)
from timecoin.ledger.utxo import Utxo
from timecoin.masternodes.active_set import ActiveSet, Member
from timecoin.masternodes.changes import sign_leave
from timecoin.sim.world import SimNode, World

FEE_UNITS = 2 * params.MIN_FEE_UNITS


class Owners:
    """What the users of masternodes do; every step goes through a node as its RPC would."""

    def __init__(self, world: World) -> None:
        self._world = world

    def active(self, at: SimNode) -> ActiveSet:
        """The newest snapshot as the node ``at`` has it."""
        chain = at.running.chain
        found = chain.active_set(chain.tip_height)
        if found is None:
            raise LookupError(f"no active set at the tip of node {at.number}")
        return found

    def member(self, node: SimNode, at: SimNode) -> Member | None:
        """The line of ``node`` in the newest snapshot."""
        return self.active(at).by_pubkey.get(node.voting_key.public)

    def register(self, node: SimNode, units: int, at: SimNode) -> Outpoint:
        """The owner of ``node`` stakes ``units``; the outpoint of the stake.

        ``LookupError`` while it has no coin for that.
        """
        return self._stake(node, node.owner_key, units, at)

    def stake_rewards(self, node: SimNode, units: int, at: SimNode) -> Outpoint:
        """``node`` stakes ``units`` of what its membership has earned."""
        return self._stake(node, node.payout_key, units, at)

    def choose(self, node: SimNode, point: Outpoint) -> None:
        """Tell ``node`` to join with the stake ``point``, or to change to it."""
        node.running.join_with(point)

    def join_free(self, node: SimNode) -> None:
        """Tell ``node`` to join without a stake."""
        node.running.join_with(node.payout_hash)

    def leave(self, node: SimNode, at: SimNode) -> None:
        """``node`` leaves the set at its own wish; ``LookupError`` if it is not in it."""
        member = self.member(node, at)
        if member is None:
            raise LookupError(f"node {node.number} is no member")
        key, chain_id = node.voting_key, self._world.genesis.chain_id
        leave = sign_leave(key, chain_id, key.public, member.joined_height)
        at.running.leave(leave)

    def withdraw(self, node: SimNode, point: Outpoint, at: SimNode) -> bool:
        """The owner spends the stake ``point``; False while the network keeps it."""
        coin = at.running.chain.utxo(point)
        if coin is None:
            return False
        output = TxOutput(coin.value - FEE_UNITS, _script_of(node.owner_key))
        return self._world.submit(
            at.number, self._signed([(point, coin)], (output,), node.owner_key)
        )

    def earned(self, node: SimNode, at: SimNode) -> list[tuple[Outpoint, Utxo]]:
        """Rewards of ``node`` that may be spent with the next block."""
        height = at.running.chain.tip_height + 1
        return [
            (point, coin)
            for point, coin in self._coins(node.payout_key, at)
            if not coin.coinbase or height - coin.height >= params.COINBASE_MATURITY_BLOCKS
        ]

    def _stake(self, node: SimNode, owner: SigningKey, units: int, at: SimNode) -> Outpoint:
        coins = self._coins(owner, at) if owner is node.owner_key else self.earned(node, at)
        coins.sort(key=lambda coin: -coin[1].value)
        chosen: list[tuple[Outpoint, Utxo]] = []
        while coins and sum(coin.value for _, coin in chosen) < units + FEE_UNITS:
            chosen.append(coins.pop(0))
        change = sum(coin.value for _, coin in chosen) - units - FEE_UNITS
        if change < 0:
            raise LookupError(f"the owner of node {node.number} has too little")
        script = stake(
            node.voting_key.public,
            vrf_public(node.vrf_seed),
            hash160(owner.public),
            node.payout_hash,
            0,
        )
        outputs = [TxOutput(units, script)]
        if change:
            outputs.append(TxOutput(change, _script_of(owner)))
        tx = self._signed(chosen, tuple(outputs), owner)
        if not self._world.submit(at.number, tx):
            raise LookupError(f"the stake of node {node.number} was refused")
        return outpoint(tx.txid, 0)

    def _coins(self, owner: SigningKey, at: SimNode) -> list[tuple[Outpoint, Utxo]]:
        script = _script_of(owner)
        return [coin for coin in at.running.chain.utxos() if coin[1].script == script]

    def _signed(
        self,
        coins: list[tuple[Outpoint, Utxo]],
        outputs: tuple[TxOutput, ...],
        owner: SigningKey,
    ) -> Transaction:
        inputs = tuple(TxInput(*split_outpoint(p), params.SEQUENCE_FINAL) for p, _ in coins)
        unsigned = Transaction(params.TX_VERSION, inputs, outputs, 0, ((),) * len(inputs))
        spent = [coin for _, coin in coins]
        keys = [owner] * len(coins)
        return sign_transaction(unsigned, spent, self._world.genesis.chain_id, keys)


def _script_of(owner: SigningKey) -> bytes:
    return pay_to_pubkey_hash(hash160(owner.public))
