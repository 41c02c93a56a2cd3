"""Who is linked with whom: this node's links, and what each peer says of its own."""

from __future__ import annotations

from timecoin.gossip.messages import MAX_KEYS, Neighbours


class Neighbourhood:
    """Links by peer; of each peer the voting keys that it says it is linked with."""

    def __init__(self) -> None:
        self._key_of: dict[bytes, bytes | None] = {}
        self._links_of: dict[bytes, int] = {}
        """Voting key -> number of links on which it was proved."""
        self._told: dict[bytes, dict[bytes, None]] = {}

    def __contains__(self, peer: bytes) -> bool:
        return peer in self._key_of

    @property
    def peers(self) -> tuple[bytes, ...]:
        """All linked peers, oldest link first."""
        return tuple(self._key_of)

    @property
    def validators(self) -> list[bytes]:
        """Linked peers that have proved a voting key, staked or not; oldest link first."""
        return [peer for peer, key in self._key_of.items() if key is not None]

    @property
    def followers(self) -> list[bytes]:
        """Linked peers without a voting key, oldest link first."""
        return [peer for peer, key in self._key_of.items() if key is None]

    def keys_but(self, peer: bytes) -> tuple[bytes, ...]:
        """The voting keys proved on all links but that to ``peer``; at most one message full."""
        own = self._key_of.get(peer)
        return tuple(key for key in self._links_of if key != own)[:MAX_KEYS]

    def add(self, peer: bytes, key: bytes | None) -> bool:
        """A link is up; whether its voting key is new here."""
        self._key_of[peer] = key
        self._told[peer] = {}
        if key is None:
            return False
        self._links_of[key] = self._links_of.get(key, 0) + 1
        return self._links_of[key] == 1

    def remove(self, peer: bytes) -> bytes | None:
        """A link is down; returns the voting key that is linked no more because of it."""
        self._told.pop(peer, None)
        key = self._key_of.pop(peer, None)
        if key is None:
            return None
        self._links_of[key] -= 1
        if self._links_of[key]:
            return None
        del self._links_of[key]
        return key

    def take(self, peer: bytes, message: Neighbours) -> dict[bytes, None]:
        """Believe what ``peer`` says of its links, and return the keys that it has lost.

        It can only do without relays by it, so there is nothing to gain from a lie. ``ValueError``
        when it names too many keys; none of them counts then.
        """
        told = self._told[peer]
        lost = {key: None for key in message.left if key in told}
        for key in lost:
            del told[key]
        told.update(dict.fromkeys(message.joined))
        if len(told) > MAX_KEYS:
            told.clear()
            raise ValueError("too many voting keys on its links")
        return lost

    def hears(self, peer: bytes, author: bytes) -> bool:
        """Whether ``peer`` gets from ``author`` itself what ``author`` says."""
        return self._key_of.get(peer) == author or author in self._told.get(peer, ())
