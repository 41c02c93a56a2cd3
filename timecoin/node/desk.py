"""What this node's user may ask for masternodes: leaving, and joining by a stake."""

from __future__ import annotations

from timecoin.crypto.keys import SigningKey
from timecoin.ledger.transaction import Outpoint
from timecoin.ledger.utxo import Utxo
from timecoin.masternodes.active_set import TIER_WEIGHT, Member, Tier
from timecoin.masternodes.changes import Leave, sign_leave
from timecoin.node.node import Node


class Desk:
    """Implements ``MasternodeDesk`` of the RPC methods."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def utxo(self, point: Outpoint) -> Utxo | None:
        """The archived unspent output ``point``."""
        return self._node.chain.utxo(point)

    def joined_height(self, pubkey: bytes, stake: Outpoint) -> int | None:
        """Since when the masternode ``pubkey`` is in the active set by ``stake``, if it is."""
        chain = self._node.chain
        active = chain.active_set(chain.tip_height)
        member = None if active is None else active.by_pubkey.get(pubkey)
        return member.joined_height if member is not None and member.stake == stake else None

    def sign_leave(self, pubkey: bytes, joined_height: int) -> Leave | None:
        """The leave of this node's own masternode, by its voting key; None for another's."""
        key = self._key()
        if key is None or key.public != pubkey:
            return None
        return sign_leave(key, self._node.genesis.chain_id, pubkey, joined_height)

    def leave(self, leave: Leave) -> None:
        """Bring ``leave`` to the next proposer."""
        self._node.leave(leave)

    def join_with(self, stake: Outpoint, tier: Tier) -> None:
        """This node's own masternode shall join by ``stake``, or move to it.

        A genesis validator moves to less than its own weight only when its time is over.
        """
        own = self.own_member()
        founding = own is not None and own.tier == Tier.GENESIS
        patient = founding and own is not None and own.weight > TIER_WEIGHT.get(tier, 0)
        self._node.join_with(stake, at_once=not patient)

    def join_free(self, payout_hash: bytes) -> None:
        """This node's own masternode shall join without a stake."""
        self._node.join_with(payout_hash)

    def own_member(self) -> Member | None:
        """This node's own masternode in the active set of the tip."""
        chain = self._node.chain
        active = chain.active_set(chain.tip_height)
        pubkey = self._node.voting_pubkey
        return None if active is None or pubkey is None else active.by_pubkey.get(pubkey)

    def _key(self) -> SigningKey | None:
        return None if self._node.identity is None else self._node.identity.key
