"""History as masternodes see it: who could join or leave with the next block (PROTOCOL 4)."""

from __future__ import annotations

from collections.abc import Iterable

from timecoin.chain.active import NextSet
from timecoin.chain.commit import Chain
from timecoin.crypto.keys import Verify
from timecoin.ledger.connect import Coin
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import TAG_STAKE, Stake, parse_script
from timecoin.ledger.transaction import Outpoint
from timecoin.masternodes.active_set import ActiveSet
from timecoin.masternodes.admission import Carrier
from timecoin.masternodes.changes import Join, Leave

_STAKE = bytes((TAG_STAKE,))


class Registry:
    """Implements the masternodes' ``MasternodeChain``."""

    def __init__(self, chain: Chain, genesis: Genesis, verify: Verify) -> None:
        self._chain = chain
        self._genesis = genesis
        self._verify = verify
        self._known_height: int | None = None
        self._stakes: dict[Outpoint, tuple[bytes, int]] = {}
        """Unspent stakes at that height: voting key and height of each."""

    @property
    def tip_height(self) -> int:
        """Height of the newest final block."""
        return self._chain.tip_height

    @property
    def tip_hash(self) -> bytes:
        """Its hash."""
        return self._chain.tip_hash

    def active_set(self, height: int) -> ActiveSet | None:
        """avs(height), or None when it is unknown, ahead of the tip or no longer kept."""
        return self._chain.active_set(height)

    def block_hash(self, height: int) -> bytes | None:
        """The hash of the block at ``height``; the genesis hash at 0."""
        return self._chain.block_hash(height)

    def may_join(self, join: Join) -> bool:
        """Whether the block after the tip could take ``join``: heartbeat and signatures aside."""
        try:
            self._next_set().check_candidate(join)
        except RuleBroken:
            return False
        return True

    def may_leave(self, leave: Leave) -> bool:
        """Whether the block after the tip could take ``leave``, its signature included."""
        try:
            self._next_set().change(leave)
        except RuleBroken:
            return False
        return True

    def stakes_of(self, pubkey: bytes) -> tuple[bytes, ...]:
        """Outpoints of the unspent stakes that name the voting key, in chain order.

        The first call walks the UTXO set; later ones look at the blocks since.
        """
        self._catch_up()
        found = [(height, point) for point, (key, height) in self._stakes.items() if key == pubkey]
        return tuple(point for _, point in sorted(found))

    def _catch_up(self) -> None:
        """Bring the stakes known here to the tip."""
        tip = self._chain.tip_height
        if self._known_height is None:
            self._note(self._chain.utxos())
        else:
            for height in range(self._known_height + 1, tip + 1):
                diff = self._chain.undo(height)
                if diff is None:  # pruned, or a start from a snapshot since
                    self._stakes.clear()
                    self._note(self._chain.utxos())
                    break
                for point, _ in diff.spent:
                    self._stakes.pop(point, None)
                self._note(diff.created)
        self._known_height = tip

    def _note(self, coins: Iterable[Coin]) -> None:
        for point, utxo in coins:
            if utxo.script.startswith(_STAKE):
                script = parse_script(utxo.script)
                if isinstance(script, Stake):
                    self._stakes[point] = (script.pubkey, utxo.height)

    def _next_set(self) -> NextSet:
        """The set after the tip's, for a block of which nothing is known but its height."""
        carrier = Carrier(height=self.tip_height + 1, slot_time=0, timestamp_ms=0, spent=())
        return NextSet(carrier, self._chain, self._genesis, self._verify)
