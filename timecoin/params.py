"""Constants of the protocol: networks, domain tags, limits and defaults.

Nothing here is a setting of one node except where a comment says so; what a genesis
file may choose (slot length, base reward, validators) lives in ``ledger.genesis``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

PROTOCOL_VERSION = 1
UNITS_PER_TIME = 100_000_000
MAX_AMOUNT_UNITS = 2**63 - 1
"""No amount and no sum of amounts in one transaction may exceed this."""


class Network(enum.IntEnum):
    """The three networks and their numbers in signed bytes (PROTOCOL 1)."""

    MAINNET = 1
    TESTNET = 2
    DEVNET = 3

    @property
    def label(self) -> str:
        """The name an operator types: ``mainnet``, ``testnet`` or ``devnet``."""
        return self.name.lower()


def network_of(label: str) -> Network:
    """The network called ``label``; ``ValueError`` names the choices."""
    for network in Network:
        if network.label == label:
            return network
    choices = ", ".join(network.label for network in Network)
    raise ValueError(f"unknown network {label!r}: choose one of {choices}")


HRP = {Network.MAINNET: "time", Network.TESTNET: "timet", Network.DEVNET: "timed"}
"""Human-readable part of addresses (PROTOCOL 2, BIP 350)."""

PEER_PORT = {Network.MAINNET: 24000, Network.TESTNET: 24100, Network.DEVNET: 24200}
RPC_PORT = {Network.MAINNET: 24001, Network.TESTNET: 24101, Network.DEVNET: 24201}


def _tag(name: str) -> bytes:
    return b"timecoin/" + name.encode("ascii") + b"\x00"


# Every hashed or signed object begins with a tag of its own (PROTOCOL 1). One list.
TAG_TX = _tag("tx")
TAG_TXID = _tag("txid")
TAG_WTXID = _tag("wtxid")
TAG_BLOCK = _tag("block")
TAG_BODY = _tag("body")
TAG_ENTRIES = _tag("entries")
TAG_MERKLE_LEAF = _tag("merkle-leaf")
TAG_MERKLE_NODE = _tag("merkle-node")
TAG_VOTE = _tag("vote")
TAG_STORED = _tag("stored")
TAG_CALL = _tag("call")
TAG_CANDIDATE = _tag("candidate")
TAG_PROPOSAL = _tag("proposal")
TAG_PREPARE = _tag("prepare")
TAG_PRECOMMIT = _tag("precommit")
TAG_SEED = _tag("seed")
TAG_VRF = _tag("vrf")
TAG_HEARTBEAT = _tag("heartbeat")
TAG_ATTESTATION = _tag("attestation")
TAG_WITNESS = _tag("witness")
TAG_JOIN = _tag("join")
TAG_LEAVE = _tag("leave")
TAG_VRF_POSSESSION = _tag("vrf-possession")
TAG_HELLO = _tag("hello")
TAG_STAKE_PROOF = _tag("stake-proof")
TAG_ADDRESS_RECORD = _tag("address-record")
TAG_GENESIS = _tag("genesis")
TAG_LTHASH_ELEMENT = _tag("lthash-element")
TAG_LTHASH_ROOT = _tag("lthash-root")
TAG_ACTIVE_SET = _tag("active-set")
TAG_MESSAGE = _tag("message")
TAG_EVIDENCE = _tag("evidence")

# Transactions (PROTOCOL 3).
TX_VERSION = 1
MAX_TX_BYTES = 100_000
MIN_FEE_UNITS = 100_000
MIN_FEE_RATE_UNITS_PER_BYTE = 10
DUST_UNITS = 1_000
COINBASE_MATURITY_BLOCKS = 10
MAX_DATA_BYTES = 256
MAX_MULTISIG_KEYS = 15
LOCK_TIME_THRESHOLD = 500_000_000
"""Below: a block height; from here on: Unix seconds (as in Bitcoin)."""
SEQUENCE_FINAL = 0xFFFFFFFF
"""A transaction whose inputs all carry this sequence ignores its lock time (as in Bitcoin)."""

# Active set (PROTOCOL 4).
SNAPSHOT_DEPTH = 4
"""A certificate needs a quorum in every snapshot among anchor - SNAPSHOT_DEPTH .. anchor."""

WITNESSES = 6
"""Staked members that may attest to one heartbeat."""
MAX_NEEDED_ATTESTATIONS = 3

CHURN_DIVISOR = 20
"""Joining plus leaving weight of a block is at most the total divided by this, or one member's."""
STAKE_WAIT_BLOCKS = 8
"""So many snapshots must lie behind a stake's membership before it can be spent."""
JAIL_BLOCKS = {Network.MAINNET: 1_008, Network.TESTNET: 1_008, Network.DEVNET: 60}
"""How long an offender stays out, and its stake frozen."""

# Finality (PROTOCOL 5).
BATCH_MAX_TRANSACTIONS = 64
QUERY_MAX_BYTES = 1_000_000
RESOLUTION_AGE_BLOCKS = 4

# Blocks (PROTOCOL 6).
BLOCK_VERSION = 1
ENTRIES_PER_SLOT_SECOND = {Network.MAINNET: 2_500, Network.TESTNET: 2_500, Network.DEVNET: 25_000}
MAX_BLOCK_BYTES = 4_000_000
"""Bound of an encoded header and body; transaction bodies travel beside them."""
MAX_BLOCK_BODIES_BYTES = 32_000_000
"""Transaction bodies that a proposer lets one block refer to; a block that reaches it is full."""
TIMESTAMP_DRIFT_MS = 15_000
SLOT_EARLY_MS = 15_000

# Peer protocol (PROTOCOL 7).
MAX_CLOCK_OFFSET_MS = 10_000
"""A node whose clock is further from its peers' neither proposes nor witnesses."""
MAX_FRAME_BYTES = 10_000_000
MAX_BANS = 4_096
OUTBOUND_SLOTS = 8
"""Links that a node opens by its own choice, besides those to its configured peers."""


@dataclass(frozen=True, slots=True)
class HeartbeatTiming:
    """How often masternodes show that they are there, in milliseconds (PROTOCOL 4)."""

    interval_ms: int
    attest_ms: int
    """A witness attests to heartbeats that it received so soon after their timestamp."""
    ttl_ms: int
    """A masternode is live while its last verified heartbeat is younger."""


HEARTBEAT_TIMING = {
    Network.MAINNET: HeartbeatTiming(60_000, 15_000, 180_000),
    Network.TESTNET: HeartbeatTiming(60_000, 15_000, 180_000),
    Network.DEVNET: HeartbeatTiming(3_000, 3_000, 12_000),
}


@dataclass(frozen=True, slots=True)
class ConsensusTiming:
    """Time-outs of block consensus, in milliseconds (PROTOCOL 6)."""

    collection_delay_ms: int
    round_timeout_ms: int
    round_timeout_step_ms: int
    inclusion_hold_ms: int = 2_000
    retransmit_ms: int = 1_000


CONSENSUS_TIMING = {
    Network.MAINNET: ConsensusTiming(1_000, 30_000, 10_000),
    Network.TESTNET: ConsensusTiming(1_000, 30_000, 10_000),
    Network.DEVNET: ConsensusTiming(300, 2_000, 500),
}


@dataclass(frozen=True, slots=True)
class FinalityParams:
    """Polling and batching of transaction finality (PROTOCOL 5)."""

    sample_size: int = 20
    alpha: int = 14
    confidence: int = 20
    batch_delay_ms: int = 10
    answer_timeout_ms: int = 200
    second_wave_ms: int = 100
    repoll_ms: int = 2_000
    extra_weight_percent: int = 10
    expiry_ms: int = 72 * 3600 * 1000
    max_orphans: int = 1_000
