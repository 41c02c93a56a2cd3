"""This node as a witness of others' heartbeats (PROTOCOL 4)."""

from __future__ import annotations

from timecoin.crypto.keys import SigningKey
from timecoin.masternodes.book import Gathering
from timecoin.masternodes.heartbeat import Attestation, sign_attestation


class Witness:
    """Attests once for each sequence number, also to who signs two heartbeats of one number."""

    def __init__(self, key: SigningKey | None, chain_id: bytes, attest_ms: int) -> None:
        """``key`` None: a node that only listens; ``attest_ms``: how old a heartbeat may be."""
        self._key = key
        self._chain_id = chain_id
        self._attest_ms = attest_ms
        self._attested: dict[bytes, int] = {}

    def attest(self, gathering: Gathering, now_ms: int) -> Attestation | None:
        """The attestation of a node that is at the tip with a right clock; None if it owes none."""
        key, heartbeat = self._key, gathering.heartbeat
        if key is None or key.public not in gathering.drawn:
            return None
        if key.public in gathering.attestations or now_ms - heartbeat.timestamp > self._attest_ms:
            return None
        if heartbeat.sequence <= self._attested.get(heartbeat.pubkey, -1):
            return None
        self._attested[heartbeat.pubkey] = heartbeat.sequence
        return sign_attestation(key, self._chain_id, gathering.hash)
