"""This node's own heartbeats, and what it asks for (PROTOCOL 4).

Rows of the table ``masternodes``: ``s`` the last sequence number used, ``w`` the way in that its
user has chosen (an outpoint: a stake; 20 bytes: Free, the payout hash; empty: by genesis), ``p`` a
mark that this waits until its present membership is over, ``l`` one that it has left at its own
wish.
"""

from __future__ import annotations

from timecoin.crypto.hashing import PUBKEY_HASH_BYTES
from timecoin.crypto.keys import SigningKey
from timecoin.ledger.block import Block
from timecoin.machine import Record
from timecoin.masternodes.active_set import Member
from timecoin.masternodes.changes import Join, Leave, decode_change, sign_join
from timecoin.masternodes.heartbeat import Attested, Heartbeat, sign_heartbeat
from timecoin.masternodes.ports import MasternodeChain

TABLE = "masternodes"
_SEQUENCE, _WISH, _PATIENT, _LEFT = b"s", b"w", b"p", b"l"
_SEQUENCE_BYTES = 8


class OwnMasternode:
    """The masternode of this node's voting key."""

    def __init__(
        self,
        key: SigningKey,
        vrf_seed: bytes,
        chain_id: bytes,
        chain: MasternodeChain,
        joins_by_itself: bool,
    ) -> None:
        """``joins_by_itself``: ask to join when the chain would take this node."""
        self.key = key
        self._vrf_seed = vrf_seed
        self._chain_id = chain_id
        self._chain = chain
        self._joins_by_itself = joins_by_itself
        self._sequence = 0
        self._wish: bytes | None = None
        self._patient = False
        self.has_left = False
        """It has left by a signed leave, and not asked to come back."""

    def restore(self, rows: tuple[tuple[str, bytes, bytes], ...]) -> None:
        """Take up what the last life recorded."""
        found = {key: value for table, key, value in rows if table == TABLE}
        self._sequence = int.from_bytes(found.get(_SEQUENCE, b""), "big")
        self._wish = found.get(_WISH)
        self._patient = _PATIENT in found
        self.has_left = _LEFT in found

    def member(self) -> Member | None:
        """Its line in the active set of the tip."""
        active = self._chain.active_set(self._chain.tip_height)
        return None if active is None else active.by_pubkey.get(self.key.public)

    def beat(self, now_ms: int) -> tuple[Record, Heartbeat]:
        """The next heartbeat, and the record of its number: it is never used again."""
        self._sequence += 1
        number = self._sequence.to_bytes(_SEQUENCE_BYTES, "big")
        heartbeat = sign_heartbeat(
            self.key,
            self._chain_id,
            self._sequence,
            self._chain.tip_height,
            self._chain.tip_hash,
            now_ms,
        )
        return Record(TABLE, _SEQUENCE, number), heartbeat

    def join(self, heartbeat: Heartbeat) -> Join | None:
        """The join that this masternode asks for with ``heartbeat``; None if it asks for none."""
        member = self.member()
        for way in self._ways(member):
            is_free = len(way) == PUBKEY_HASH_BYTES
            asked = sign_join(
                self.key,
                self._chain_id,
                Attested(heartbeat, ()),
                stake=b"" if is_free else way,
                payout_hash=way if is_free else b"",
                vrf_seed=self._vrf_seed,
            )
            if self._chain.may_join(asked):
                return asked
        return None

    def choose(self, way: bytes, at_once: bool = True) -> list[Record]:
        """Its user wants it to join, or to change its stake; ``way`` is that of ``JoinWith``.

        ``at_once`` False: a membership that it has is not given up for that.
        """
        self._wish, self._patient, self.has_left = way, not at_once, False
        patient = None if at_once else b""
        return [
            Record(TABLE, _WISH, way),
            Record(TABLE, _PATIENT, patient),
            Record(TABLE, _LEFT, None),
        ]

    def connected(self, block: Block) -> list[Record]:
        """Notice its own coming and going in a block."""
        records: list[Record] = []
        for data in block.body.avs_changes:
            change = decode_change(data)
            if isinstance(change, Leave | Join) and change.pubkey == self.key.public:
                self.has_left = isinstance(change, Leave)
                mark = b"" if self.has_left else None
                records.append(Record(TABLE, _LEFT, mark, durable=False))
        return records

    def _ways(self, member: Member | None) -> list[bytes]:
        """With what to join, best first: the user's choice, then the first stake, then genesis.

        A member changes its stake only when its user says so: anybody can make a stake that names
        this key, and the payout would be theirs.
        """
        chosen = [] if self._wish is None else [self._wish]
        if member is not None:
            return [] if self._patient else chosen
        if self.has_left or not self._joins_by_itself:
            return chosen if not self.has_left else []
        return list(dict.fromkeys([*chosen, b"", *self._chain.stakes_of(self.key.public)]))
