"""The history that all nodes of a run must have in common, followed by sums of its own.

Nothing here asks the node code what is right: coins, fees, rewards and supply are counted from
the blocks and bodies alone (PROTOCOL 6), once for each height, by whichever node is first there.
"""

from __future__ import annotations

import decimal

from timecoin.chain.commit import BlockConnected
from timecoin.ledger.genesis import Genesis, genesis_utxos
from timecoin.ledger.script import TAG_DATA
from timecoin.ledger.transaction import Outpoint, Transaction, outpoint
from timecoin.masternodes.active_set import ActiveSet, genesis_set
from timecoin.sim.broken import InvariantBroken

_CONTEXT = decimal.Context(prec=60, rounding=decimal.ROUND_HALF_EVEN)


class History:
    """Blocks by height with what they lead to."""

    def __init__(self, genesis: Genesis) -> None:
        self.chain_id = genesis.chain_id
        self.height = 0
        self.archived: dict[bytes, int] = {}
        """Height by txid."""
        self.spender: dict[Outpoint, bytes] = {}
        """Which archived transaction spent an output."""
        self._base_units = genesis.base_reward
        self._hashes = {0: genesis.hash}
        self._seeds = {0: genesis.hash}
        self._sets = {0: genesis_set(genesis)}
        self._coins = {point: utxo.value for point, utxo in genesis_utxos(genesis)}
        self._sums = {0: (len(self._coins), sum(self._coins.values()))}
        self._roots: dict[bytes, ActiveSet] = {}

    def seed(self, height: int) -> bytes:
        """The seed that block ``height`` left behind."""
        return self._seeds[height]

    def sums(self, height: int) -> tuple[int, int]:
        """The number of unspent outputs after block ``height``, and their units."""
        return self._sums[height]

    def active_sets(self, heights: range) -> list[ActiveSet] | None:
        """avs of each of ``heights`` from 0 on; None when one of them is ahead of history."""
        wanted = [height for height in heights if height >= 0]
        if any(height > self.height for height in wanted):
            return None
        return [self._sets[height] for height in wanted]

    def connect(self, found: BlockConnected, active: ActiveSet) -> bool:
        """A node has connected a block; whether it is the first to be there.

        :class:`InvariantBroken` when another one stands at its height, or its sums are wrong.
        """
        block = found.block
        known = self._hashes.get(block.height)
        if known is not None:
            if known != block.hash:
                raise InvariantBroken(
                    f"agreement: {block.hash.hex()} at {block.height}, not {known.hex()}"
                )
            return False
        if block.height != self.height + 1 or block.header.prev_hash != self._hashes[self.height]:
            raise InvariantBroken(f"agreement: {block.hash.hex()} does not follow {self.height}")
        fees = self._move(found.transactions, block.height)
        self._reward(block.body.reward, fees, block.height)
        self.height = block.height
        self._hashes[block.height] = block.hash
        self._seeds[block.height] = block.header.seed
        self._sets[block.height] = self._roots.setdefault(active.root, active)
        return True

    def _move(self, transactions: tuple[Transaction, ...], height: int) -> int:
        """Create all outputs, then spend all inputs; the units that are left over as fees."""
        for tx in transactions:
            self._create(tx)
            self.archived[tx.txid] = height
        fees = 0
        for tx in transactions:
            for point in tx.outpoints:
                value = self._coins.pop(point, None)
                if value is None:
                    raise InvariantBroken(f"no double spend: {point.hex()} at height {height}")
                self.spender[point] = tx.txid
                fees += value
            fees -= sum(output.value for output in tx.outputs)
        return fees

    def _reward(self, reward: Transaction, fees: int, height: int) -> None:
        """What is created is ``base * (1 + ln N)``, and the fees change hands."""
        staked = len(self._sets[height - 1].weights)
        factor = _CONTEXT.add(1, _CONTEXT.ln(staked))
        due = int(_CONTEXT.multiply(self._base_units, factor)) + fees
        paid = sum(output.value for output in reward.outputs)
        if paid != due:
            raise InvariantBroken(f"rewards sum: {paid} units at height {height}, due are {due}")
        self._create(reward)
        units = self._sums[height - 1][1] - fees + paid
        self._sums[height] = len(self._coins), units

    def _create(self, tx: Transaction) -> None:
        for index, output in enumerate(tx.outputs):
            if output.lock_script[0] != TAG_DATA:
                self._coins[outpoint(tx.txid, index)] = output.value
