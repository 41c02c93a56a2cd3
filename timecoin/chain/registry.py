"""History as masternodes see it: who could join or leave with the next block (PROTOCOL 4)."""

from __future__ import annotations

from timecoin.chain.commit import Chain
from timecoin.ledger.script import TAG_STAKE, Stake, parse_script
from timecoin.masternodes.active_set import ActiveSet
from timecoin.masternodes.changes import Join, Leave


class Registry:
    """Implements the masternodes' ``MasternodeChain``."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

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
        """No block of this version takes joins."""
        return False

    def may_leave(self, leave: Leave) -> bool:
        """No block of this version takes leaves."""
        return False

    def stakes_of(self, pubkey: bytes) -> tuple[bytes, ...]:
        """Outpoints of the unspent stakes that name the voting key, in chain order."""
        found: list[tuple[int, bytes]] = []
        for point, utxo in self._chain.utxos():
            if utxo.script[0] == TAG_STAKE:
                script = parse_script(utxo.script)
                if isinstance(script, Stake) and script.pubkey == pubkey:
                    found.append((utxo.height, point))
        return tuple(point for _, point in sorted(found))
