"""What stays the same from height to height: settings, keys, journal, links."""

from __future__ import annotations

from dataclasses import dataclass, field

from timecoin import params
from timecoin.consensus.journal import Journal
from timecoin.consensus.ports import Ports
from timecoin.consensus.signer import Signer
from timecoin.crypto.keys import SigningKey
from timecoin.params import ConsensusTiming, Network


@dataclass(frozen=True, slots=True)
class ConsensusSettings:
    """The network's parameters that block consensus needs. ``slot_ms`` is the slot length."""

    chain_id: bytes
    slot_ms: int
    timing: ConsensusTiming

    @property
    def max_entries(self) -> int:
        """Most entries that a block may have."""
        network = Network(int.from_bytes(self.chain_id[:4], "little"))
        return params.ENTRIES_PER_SLOT_SECOND[network] * self.slot_ms // 1_000

    @property
    def max_block_bytes(self) -> int:
        """Most bytes that an encoded block may have."""
        return params.MAX_BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class Identity:
    """The keys of a masternode: an HSM may hold the voting key, not the VRF seed (PROTOCOL 4)."""

    key: SigningKey
    vrf_seed: bytes


@dataclass(slots=True)
class Seat:
    """This node at the table; ``signer`` and ``vrf_seed`` are None when it only follows."""

    settings: ConsensusSettings
    ports: Ports
    signer: Signer | None
    vrf_seed: bytes | None
    journal: Journal
    catching_up: bool = False
    clock_is_sound: bool = True
    halted: bool = False
    links: dict[bytes, bytes | None] = field(default_factory=dict)
    """Linked peers in order of connection, with the voting key each has proved, if any."""

    @property
    def is_halted(self) -> bool:
        """Whether two precommit quorums of one height are known, here or to the chain."""
        return self.halted or self.ports.rules.fork_height is not None

    def peer_of(self, masternode: bytes) -> bytes | None:
        """The first linked peer that has proved the voting key ``masternode``."""
        for peer, proved in self.links.items():
            if proved == masternode:
                return peer
        return None
