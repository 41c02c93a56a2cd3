"""What this node's masternode has produced and earned, block by block.

One row in the wallet's store, written with every block; a row for each voting key. Blocks that were
connected without it are read again when somebody asks.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from timecoin.chain.commit import BlockConnected
from timecoin.chain.views import ChainViews
from timecoin.codec import U64, Wire, decode, encode
from timecoin.ledger.block import Block
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.rpc.turns import in_turns
from timecoin.wallet.ports import HistoryRows

MAX_ROW_BYTES = 100


class Earned(Wire, frozen=True):
    """Counted over the blocks above ``since`` up to ``height``."""

    since: U64
    height: U64
    blocks: U64
    reward_units: U64


class Earnings:
    """Counts for one voting key, from where the chain was when it was first used here."""

    def __init__(
        self, clock: IReactorTime, rows: HistoryRows, views: ChainViews, pubkey: bytes
    ) -> None:
        self._clock = clock
        self._rows = rows
        self._views = views
        self._pubkey = pubkey
        self._key = b"m" + pubkey
        row = rows.get(self._key)
        tip = views.tip.height
        self.earned = Earned(tip, tip, 0, 0) if row is None else decode(row, Earned, MAX_ROW_BYTES)

    def on_block(self, connected: BlockConnected) -> None:
        """A block was archived; one above a gap waits until somebody asks."""
        if connected.block.height == self.earned.height + 1:
            self._count(connected.block)

    async def up_to_date(self) -> Earned:
        """What there is up to the tip."""
        async for _ in in_turns(self._clock, range(self._views.tip.height - self.earned.height)):
            block = self._views.block(self.earned.height + 1)
            if block is None:  # pruned, or before a fast start: nobody can count it any more
                above = self.earned.height + 1
                self.earned = Earned(above, above, self.earned.blocks, self.earned.reward_units)
            else:
                self._count(block)
        return self.earned

    def _count(self, block: Block) -> None:
        earned = self.earned
        produced = block.header.producer == self._pubkey
        self.earned = Earned(
            earned.since,
            block.height,
            earned.blocks + int(produced),
            earned.reward_units + self._reward(block),
        )
        self._rows.write([(self._key, encode(self.earned))])

    def _reward(self, block: Block) -> int:
        """What the block pays to the payout address of the masternode."""
        parent = self._views.active_set(block.height - 1)
        member = None if parent is None else parent.by_pubkey.get(self._pubkey)
        if member is None:
            return 0
        script = pay_to_pubkey_hash(member.payout_hash)
        outputs = block.body.reward.outputs
        return sum(output.value for output in outputs if output.lock_script == script)
