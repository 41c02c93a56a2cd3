"""Every message on a link above the session: its number, its type, its bound, its machine."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from timecoin import params
from timecoin.codec import Wire
from timecoin.consensus.messages import (
    MAX_PROPOSAL_BYTES,
    BlockVote,
    CandidateMessage,
    GetProposedCertificates,
    Proposal,
    ProposedCertificates,
    Votes,
)
from timecoin.finality.messages import (
    Answer,
    CallVotes,
    Certified,
    Finalized,
    GetCertificate,
    Pending,
    Query,
    Receipts,
    Relay,
    ReturnVote,
)
from timecoin.gossip.messages import (
    MAX_BUNDLED,
    PUSH_BYTES,
    Announce,
    Bundle,
    Fetch,
    Neighbours,
)
from timecoin.masternodes.messages import BeatNews, Beats, BeatWants, Leaves
from timecoin.mempool.messages import GetTransactions, Transactions
from timecoin.p2p.allowance import BULK_BYTES_PER_TOKEN, KindRule
from timecoin.quorum.evidence import MAX_EVIDENCE_BYTES, Evidence
from timecoin.sync.messages import (
    Bodies,
    Coins,
    GetBodies,
    GetCoins,
    GetHeaders,
    Headers,
    TipAnnounce,
)


class Owner(enum.Enum):
    """Which machine hears a message."""

    GOSSIP = "gossip"
    EXCHANGE = "exchange"
    FINALITY = "finality"
    CONSENSUS = "consensus"
    SYNC = "sync"
    EVIDENCE = "evidence"
    MASTERNODES = "masternodes"


SMALL = 4_096
BODIES = params.QUERY_MAX_BYTES + params.MAX_TX_BYTES + SMALL
"""A page of bodies may pass its aim by one transaction."""
LISTS = 200_000
BUNDLE = MAX_BUNDLED * (PUSH_BYTES + 16)
FRAME = params.MAX_FRAME_BYTES - SMALL

SIGNED = KindRule()
READS_DISK = KindRule(reads_disk=True)
PAGE = KindRule(bytes_per_token=BULK_BYTES_PER_TOKEN, unpacked_bytes=FRAME)
"""Large and compressed."""


@dataclass(frozen=True, slots=True)
class Known:
    """A message type as the router sees it."""

    type: type[Wire]
    max_bytes: int
    owner: Owner
    spreads: bool = False
    """Whether gossip may pass it on, so that copies are known by their hash."""
    rule: KindRule = SIGNED
    """What one costs its sender, and whether it travels compressed."""


MESSAGES: dict[int, Known] = {
    16: Known(GetTransactions, LISTS, Owner.EXCHANGE),
    17: Known(Transactions, BODIES, Owner.EXCHANGE),
    24: Known(Announce, LISTS, Owner.GOSSIP),
    25: Known(Fetch, LISTS, Owner.GOSSIP),
    26: Known(Neighbours, LISTS, Owner.GOSSIP),
    27: Known(Bundle, BUNDLE, Owner.GOSSIP),
    32: Known(Query, BODIES, Owner.FINALITY),
    33: Known(Answer, LISTS, Owner.FINALITY),
    34: Known(Certified, FRAME, Owner.FINALITY, spreads=True),
    35: Known(Receipts, LISTS, Owner.FINALITY, spreads=True),
    36: Known(Finalized, LISTS, Owner.FINALITY, spreads=True),
    37: Known(GetCertificate, SMALL, Owner.FINALITY),
    38: Known(Relay, FRAME, Owner.FINALITY),
    39: Known(Pending, FRAME, Owner.FINALITY, spreads=True),
    40: Known(CallVotes, BODIES, Owner.FINALITY, spreads=True),
    41: Known(ReturnVote, SMALL, Owner.FINALITY),
    48: Known(CandidateMessage, SMALL, Owner.CONSENSUS, spreads=True),
    49: Known(Proposal, MAX_PROPOSAL_BYTES, Owner.CONSENSUS, spreads=True),
    50: Known(BlockVote, SMALL, Owner.CONSENSUS, spreads=True),
    51: Known(Votes, LISTS, Owner.CONSENSUS),
    52: Known(GetProposedCertificates, LISTS, Owner.CONSENSUS),
    53: Known(ProposedCertificates, MAX_PROPOSAL_BYTES, Owner.CONSENSUS),
    64: Known(TipAnnounce, SMALL, Owner.SYNC),
    65: Known(GetHeaders, SMALL, Owner.SYNC, rule=READS_DISK),
    66: Known(Headers, FRAME, Owner.SYNC, rule=PAGE),
    67: Known(GetBodies, SMALL, Owner.SYNC, rule=READS_DISK),
    68: Known(Bodies, FRAME, Owner.SYNC, rule=PAGE),
    69: Known(GetCoins, SMALL, Owner.SYNC, rule=READS_DISK),
    70: Known(Coins, FRAME, Owner.SYNC, rule=PAGE),
    80: Known(Evidence, MAX_EVIDENCE_BYTES, Owner.EVIDENCE),
    81: Known(Beats, LISTS, Owner.MASTERNODES),
    82: Known(Leaves, LISTS, Owner.MASTERNODES),
    83: Known(BeatNews, LISTS, Owner.MASTERNODES),
    84: Known(BeatWants, LISTS, Owner.MASTERNODES),
}

KIND_OF: dict[type[Wire], int] = {known.type: kind for kind, known in MESSAGES.items()}

KIND_RULES: dict[int, KindRule] = {kind: known.rule for kind, known in MESSAGES.items()}
