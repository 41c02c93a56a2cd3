"""Who this node is among the members, and which members it is linked to."""

from __future__ import annotations

from random import Random

from timecoin.codec import Wire
from timecoin.crypto.keys import SigningKey
from timecoin.finality.ports import FinalityChain
from timecoin.machine import Effect, Send
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.snapshots import certificate_snapshots, receipt_snapshots


class Committee:
    """Links by peer and by proved voting key; snapshots as the chain keeps them."""

    def __init__(self, chain: FinalityChain, key: SigningKey | None, rng: Random) -> None:
        self._chain = chain
        self._rng = rng
        self._masternode_of: dict[bytes, bytes | None] = {}
        self._peers_of: dict[bytes, dict[bytes, None]] = {}
        self.key = key

    def link_up(self, peer: bytes, masternode: bytes | None) -> None:
        """``peer`` is linked and has proved to hold the voting key ``masternode``, or none."""
        self.link_down(peer)
        self._masternode_of[peer] = masternode
        if masternode is not None:
            self._peers_of.setdefault(masternode, {})[peer] = None

    def link_down(self, peer: bytes) -> None:
        """``peer`` is gone."""
        masternode = self._masternode_of.pop(peer, None)
        if masternode is not None:
            peers = self._peers_of[masternode]
            del peers[peer]
            if not peers:
                del self._peers_of[masternode]

    def vote_snapshots(self, anchor: int) -> tuple[ActiveSet, ...] | None:
        """Where votes at ``anchor`` need a quorum."""
        return certificate_snapshots(self._chain, anchor)

    def receipt_snapshots(self, tip: int) -> tuple[ActiveSet, ...] | None:
        """Where receipts of ``tip`` need a quorum."""
        return receipt_snapshots(self._chain, tip)

    def current(self) -> tuple[ActiveSet, ...]:
        """The snapshots whose members count now: those of a vote anchored at the tip."""
        snapshots = certificate_snapshots(self._chain, self._chain.tip_height)
        if snapshots is None:
            raise LookupError("the chain lacks the snapshots of its own tip")
        return snapshots

    def signer(self, snapshots: tuple[ActiveSet, ...] | None) -> SigningKey | None:
        """This node's voting key, if it is staked in one of ``snapshots``."""
        if self.key is not None and snapshots and _is_staked(self.key.public, snapshots):
            return self.key
        return None

    @property
    def is_member(self) -> bool:
        """Whether this node votes now."""
        return self.signer(self.current()) is not None

    def voter(self, peer: bytes, snapshots: tuple[ActiveSet, ...]) -> bytes | None:
        """The voting key that ``peer`` has proved, if it is staked in one of ``snapshots``."""
        masternode = self._masternode_of.get(peer)
        return masternode if masternode and _is_staked(masternode, snapshots) else None

    def may_be_staked(self, masternode: bytes, anchor: int) -> bool:
        """Whether ``masternode`` voted at ``anchor``, or that cannot be known here (yet, any more).

        Who was cut off asks as the member that it was at its own tip; nobody has to know better.
        """
        snapshots = self.vote_snapshots(anchor)
        return snapshots is None or _is_staked(masternode, snapshots)

    def peer_of(self, voter: bytes) -> bytes | None:
        """A linked peer that has proved the voting key ``voter``."""
        return next(iter(self._peers_of.get(voter, ())), None)

    def staked_peers(self) -> tuple[bytes, ...]:
        """One linked peer for each member that counts now, in the order of links."""
        current = self.current()
        return tuple(
            next(iter(peers))
            for masternode, peers in self._peers_of.items()
            if _is_staked(masternode, current)
        )

    def key_of(self, peer: bytes | None) -> bytes | None:
        """The voting key that ``peer`` has proved, staked or not."""
        return None if peer is None else self._masternode_of.get(peer)

    def is_linked(self, peer: bytes) -> bool:
        """Whether there is a link with ``peer``."""
        return peer in self._masternode_of

    @property
    def sees_all(self) -> bool:
        """Whether this node is linked with every member that counts now."""
        own = None if self.key is None else self.key.public
        return all(
            member in self._peers_of or member == own
            for snapshot in self.current()
            for member in snapshot.weights
        )

    def some_peers(self, count: int) -> tuple[bytes, ...]:
        """Up to ``count`` random staked peers; without any, random others."""
        peers = self.staked_peers() or tuple(self._masternode_of)
        return tuple(self._rng.sample(peers, min(count, len(peers))))

    def some_staked(self, count: int) -> tuple[bytes, ...]:
        """Up to ``count`` random staked peers."""
        peers = self.staked_peers()
        return tuple(self._rng.sample(peers, min(count, len(peers))))

    def to_staked(self, message: Wire, skip: bytes | None = None) -> list[Effect]:
        """``message`` to every staked peer but ``skip``."""
        return [Send(peer, message) for peer in self.staked_peers() if peer != skip]

    def to_followers(self, message: Wire, skip: bytes | None = None) -> list[Effect]:
        """``message`` to every peer that is no member, but ``skip``: they hear nothing else."""
        staked = dict.fromkeys(self.staked_peers())
        return [
            Send(peer, message)
            for peer in self._masternode_of
            if peer not in staked and peer != skip
        ]


def _is_staked(pubkey: bytes, snapshots: tuple[ActiveSet, ...]) -> bool:
    return any(pubkey in snapshot.weights for snapshot in snapshots)
