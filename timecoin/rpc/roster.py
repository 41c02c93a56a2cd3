"""What methods about masternodes read: the active set, heartbeats, links, this node's own part."""

from __future__ import annotations

from decimal import Decimal

from timecoin.chain.views import ChainViews
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.transaction import Outpoint
from timecoin.masternodes.active_set import ActiveSet
from timecoin.p2p.ports import PeerInfo
from timecoin.params import Network
from timecoin.rpc.blocks import seconds_json
from timecoin.rpc.condition import Condition
from timecoin.rpc.earnings import Earned, Earnings
from timecoin.rpc.methods.network import OwnIdentity
from timecoin.rpc.ports import HeartbeatReader, PeerReader
from timecoin.rpc.presence import Presences


class Roster:
    """Reads; keeps nothing."""

    def __init__(
        self,
        genesis: Genesis,
        views: ChainViews,
        identity: OwnIdentity,
        peers: PeerReader,
        heartbeats: HeartbeatReader,
        condition: Condition,
        watched: tuple[Presences, Earnings | None],
    ) -> None:
        """``watched``: what this node has counted since its start, and of its own masternode."""
        self.network = Network(genesis.network)
        self.identity = identity
        self.heartbeats = heartbeats
        self._genesis = genesis
        self._views = views
        self._peers = peers
        self._condition = condition
        self._presences, self._earnings = watched

    def active_set(self) -> ActiveSet:
        """That of the tip."""
        active_set = self._views.active_set(self._views.tip.height)
        assert active_set is not None  # the chain always has the tip's
        return active_set

    def links(self) -> dict[bytes, PeerInfo]:
        """The linked peers that have proved a voting key, by it."""
        return {
            peer.masternode: peer for peer in self._peers.peers() if peer.masternode is not None
        }

    def joining(self) -> dict[bytes, Outpoint]:
        """Masternodes outside the active set that ask to be taken in, with their stakes."""
        members = self.active_set().by_pubkey
        joins = self.heartbeats.book.joins(self._condition.now_ms)
        return {join.pubkey: join.stake for join in joins if join.pubkey not in members}

    def is_live(self, pubkey: bytes) -> bool:
        """Whether its last verified heartbeat is young enough, or it is this node itself."""
        own = pubkey == self.identity.voting_pubkey
        return own or self.heartbeats.book.is_live(pubkey, self._condition.now_ms)

    def last_heartbeat_s(self, pubkey: bytes) -> int | None:
        """Unix time of its last verified heartbeat."""
        found = self.heartbeats.book.verified(pubkey)
        return None if found is None else found.heartbeat.timestamp // 1000

    def uptime_s(self, pubkey: bytes) -> int | None:
        """How long it has been live without a break, as seen since the start."""
        return self._presences.seconds(pubkey)

    def collateral_units(self, stake: Outpoint) -> int:
        """What lies in a stake; 0 without one, or once it is spent."""
        utxo = self._views.utxo(stake) if stake else None
        return 0 if utxo is None else utxo.value

    def next_slot_in(self) -> Decimal | int:
        """Seconds to the next slot."""
        slot_ms = self._genesis.slot_ms
        return seconds_json(slot_ms - self._condition.now_ms % slot_ms)

    def warnings(self) -> list[str]:
        """What an operator has to look at."""
        return self._condition.warnings()

    async def earned(self) -> Earned | None:
        """What this node's masternode has earned; None without a voting key."""
        return None if self._earnings is None else await self._earnings.up_to_date()
