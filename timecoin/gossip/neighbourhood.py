"""Who is linked with whom: this node's links, and what each peer says of its own.

Peers are bits of numbers here (``Items.bit``): who gets what somebody says is one look-up, and a
thousand peers that tell of a thousand links each take some hundred kilobytes.
"""

from __future__ import annotations

from collections.abc import KeysView

from timecoin.gossip.messages import MAX_KEYS, Neighbours


class Neighbourhood:
    """Links by peer; for each voting key the peers that are linked with it, or say so."""

    def __init__(self) -> None:
        self._key_of: dict[bytes, bytes | None] = {}
        self._bit_of: dict[bytes, int] = {}
        self._proved: dict[bytes, int] = {}
        """Voting key -> the peers that have proved it."""
        self._told: dict[bytes, int] = {}
        """Voting key -> the peers that say to be linked with it."""
        self._told_keys: dict[bytes, int] = {}
        """How many voting keys each peer has told."""
        self.validators = 0
        """Linked peers that have proved a voting key, staked or not."""
        self.followers = 0
        """Linked peers without a voting key."""

    def __contains__(self, peer: bytes) -> bool:
        return peer in self._key_of

    @property
    def peers(self) -> tuple[bytes, ...]:
        """All linked peers, oldest link first."""
        return tuple(self._key_of)

    @property
    def keys(self) -> KeysView[bytes]:
        """The voting keys that peers have proved."""
        return self._proved.keys()

    def among(self, bits: int) -> list[bytes]:
        """The linked peers whose bits are in ``bits``, oldest link first."""
        return [peer for peer, bit in self._bit_of.items() if bit & bits] if bits else []

    def keys_but(self, peer: bytes) -> tuple[bytes, ...]:
        """The voting keys proved on all links but that to ``peer``; at most one message full."""
        own = self._key_of.get(peer)
        return tuple(key for key in self._proved if key != own)[:MAX_KEYS]

    def add(self, peer: bytes, key: bytes | None, bit: int) -> bool:
        """A link is up, its peer is ``bit`` from now on; whether its voting key is new here."""
        self._key_of[peer] = key
        self._bit_of[peer] = bit
        self._told_keys[peer] = 0
        if key is None:
            self.followers |= bit
            return False
        self.validators |= bit
        known = self._proved.get(key, 0)
        self._proved[key] = known | bit
        return not known

    def remove(self, peer: bytes) -> bytes | None:
        """A link is down; returns the voting key that is linked no more because of it."""
        if peer not in self._key_of:
            return None
        self._forget_told(peer)
        del self._told_keys[peer]
        key, bit = self._key_of.pop(peer), self._bit_of.pop(peer)
        self.validators &= ~bit
        self.followers &= ~bit
        if key is None or _clear(self._proved, key, bit):
            return None
        return key

    def take(self, peer: bytes, message: Neighbours) -> dict[bytes, None]:
        """Believe what ``peer`` says of its links, and return the keys that it has lost.

        It can only do without relays by it, so there is nothing to gain from a lie. ``ValueError``
        when it names too many keys; none of them counts then.
        """
        told, bit = self._told, self._bit_of[peer]
        lost = {key: None for key in message.left if told.get(key, 0) & bit}
        for key in lost:
            _clear(told, key, bit)
        joined = [key for key in dict.fromkeys(message.joined) if not told.get(key, 0) & bit]
        for key in joined:
            told[key] = told.get(key, 0) | bit
        self._told_keys[peer] += len(joined) - len(lost)
        if self._told_keys[peer] > MAX_KEYS:
            self._forget_told(peer)
            raise ValueError("too many voting keys on its links")
        return lost

    def hearers(self, author: bytes) -> int:
        """The peers that get from ``author`` itself what ``author`` says."""
        return self._proved.get(author, 0) | self._told.get(author, 0)

    def _forget_told(self, peer: bytes) -> None:
        bit = self._bit_of[peer]
        for key in [key for key, bits in self._told.items() if bits & bit]:
            _clear(self._told, key, bit)
        self._told_keys[peer] = 0


def _clear(table: dict[bytes, int], key: bytes, bit: int) -> int:
    """Take ``bit`` off ``key``, which goes with its last bit; what is left."""
    left = table[key] & ~bit
    if left:
        table[key] = left
    else:
        del table[key]
    return left
