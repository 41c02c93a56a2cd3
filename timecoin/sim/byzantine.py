"""Faulty members: what they do to the messages that their (honest) code sends.

A faulty node holds its own keys, so what it sends is signed as it likes; signatures of others it
cannot make. Each behaviour is one fault by itself; a node may have several.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from timecoin.codec import Wire
from timecoin.consensus import messages as blocks
from timecoin.consensus.messages import BlockVote, CandidateMessage, Proposal, Votes
from timecoin.crypto.merkle import merkle_root
from timecoin.finality.messages import (
    Answer,
    Certified,
    Code,
    Finalized,
    Query,
    Receipts,
    TxAnswer,
    VoteReply,
)
from timecoin.gossip.messages import Bundle
from timecoin.node.catalog import MESSAGES
from timecoin.quorum.bitmap import make_bitmap
from timecoin.quorum.evidence import DoubleSignature, Evidence, SignedBlock
from timecoin.quorum.statement import NIL, VoteKind, proposal_statement, vote_statement
from timecoin.sim import forgery
from timecoin.sim.behaviour import Behaviour, Faulty, frame_of, message_of
from timecoin.sim.network import Frame
from timecoin.sync.messages import TipAnnounce

HISTORY = 100
"""Own frames that are kept to be sent again."""
ONE_IN = 10
"""How often a frame comes with a bad one beside it."""
MAX_DELAY_MS = 4_000


class WithholdVotes(Behaviour):
    """Never votes on blocks, never gives finality votes or receipts."""

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """Answers go out without their vote."""
        match message:
            case BlockVote() | Votes() | Receipts():
                return []
            case Answer():
                return [frame_of(msgspec.structs.replace(message, vote=None))]
        return [frame]


class WithholdProposals(Behaviour):
    """Announces itself as producer and proposes nothing."""

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """Proposals stay here."""
        return [] if isinstance(message, Proposal) else [frame]


class TargetCandidates(Behaviour):
    """Tells half of the network of its candidacy."""

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """Candidates go to the first half only."""
        hidden = isinstance(message, CandidateMessage) and self.faulty.in_second_half(peer)
        return [] if hidden else [frame]


class WithholdCertificates(Behaviour):
    """Shows certificates and receipt quorums only after the next block."""

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """More than a slot late."""
        if isinstance(message, Certified | Finalized):
            late_ms = self.faulty.slot_ms + self.faulty.rng.randrange(self.faulty.slot_ms)
            return [Frame(frame.kind, frame.payload, late_ms)]
        return [frame]


class AmbushCertificates(Behaviour):
    """Shows certificates and receipt quorums when somebody proposes to resolve a double spend.

    Then one side is certified and the other half archived, and every member has to keep its word.
    """

    def __init__(self, faulty: Faulty) -> None:
        super().__init__(faulty)
        self._held: dict[bytes, list[Frame]] = {}
        self._ambushed = False

    def incoming(self, peer: bytes, message: Wire) -> None:
        """A proposal that resolves something is the moment."""
        if isinstance(message, Proposal) and message.block.body.resolutions:
            self._ambushed = True

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """Before that nothing, from then on all of it."""
        if self._ambushed:
            return [*self._held.pop(peer, ()), frame]
        if isinstance(message, Certified | Finalized):
            self._held.setdefault(peer, []).append(frame)
            return []
        return [frame]


class DelayEverything(Behaviour):
    """Sends whatever it sends up to four seconds late, in any order."""

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """Each frame by itself."""
        delay_ms = frame.delay_ms + self.faulty.rng.randrange(MAX_DELAY_MS)
        return [Frame(frame.kind, frame.payload, delay_ms)]


class Replay(Behaviour):
    """Sends old messages again."""

    def __init__(self, faulty: Faulty) -> None:
        super().__init__(faulty)
        self._history: deque[Frame] = deque(maxlen=HISTORY)

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """Some of its own history beside the frame."""
        self._history.append(frame)
        if self.faulty.rng.randrange(ONE_IN):
            return [frame]
        return [frame, self.faulty.rng.choice(self._history)]


class Garbage(Behaviour):
    """Sends random bytes, cut frames and flipped bits."""

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """One bad frame in ten."""
        rng = self.faulty.rng
        if rng.randrange(ONE_IN):
            return [frame]
        payload = bytearray(frame.payload)
        match rng.randrange(3):
            case 0:
                payload = bytearray(rng.randbytes(rng.randrange(300)))
            case 1:
                del payload[rng.randrange(len(payload)) :]
            case _:
                payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
        return [frame, Frame(rng.choice(list(MESSAGES)), bytes(payload))]


class InvalidSignatures(Behaviour):
    """Votes and receipts with signatures that do not verify, or for another chain."""

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """A forged copy beside the true one."""
        if not isinstance(message, BlockVote) or message.voter != self.faulty.key.public:
            return [frame]
        other_chain = bytes(12)
        signature = self.faulty.key.sign(blocks.vote_statement(other_chain, message))
        forged = msgspec.structs.replace(message, signature=signature)
        named = msgspec.structs.replace(message, voter=self.faulty.rng.choice(self.faulty.others))
        return [frame, frame_of(forged), frame_of(named)]


class EquivocateVotes(Behaviour):
    """Prepares and precommits one block towards half of the network, another towards the rest."""

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """The second half hears of a vote for nothing, or for an unknown block."""
        if (
            not isinstance(message, BlockVote)
            or message.voter != self.faulty.key.public
            or not self.faulty.in_second_half(peer)
        ):
            return [frame]
        other = self.faulty.rng.randbytes(32) if message.block_hash == NIL else NIL
        changed = msgspec.structs.replace(message, block_hash=other)
        signature = self.faulty.key.sign(blocks.vote_statement(self.faulty.chain_id, changed))
        return [frame_of(msgspec.structs.replace(changed, signature=signature))]


class EquivocateProposals(Behaviour):
    """Proposes two valid blocks in one round, one to each half of the network."""

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """The second half gets a block with another timestamp."""
        if (
            not isinstance(message, Proposal)
            or message.proposer != self.faulty.key.public
            or message.valid_round
            or not self.faulty.in_second_half(peer)
        ):
            return [frame]
        header = message.block.header
        header = msgspec.structs.replace(header, timestamp_ms=header.timestamp_ms + 1)
        block = msgspec.structs.replace(message.block, header=header)
        statement = proposal_statement(
            self.faulty.chain_id, message.height, message.round, 0, message.slot, block.hash
        )
        signature = self.faulty.key.sign(statement)
        return [frame_of(msgspec.structs.replace(message, block=block, signature=signature))]


def accepting_vote(faulty: Faulty, anchor: int, txids: Sequence[bytes]) -> VoteReply:
    """A vote for every leaf."""
    bitmap = make_bitmap(len(txids), ())
    statement = vote_statement(faulty.chain_id, anchor, merkle_root(txids), len(txids), bitmap)
    return VoteReply(bitmap, faulty.key.sign(statement))


class VoteForEverything(Behaviour):
    """Votes for every transaction it is asked about, whatever it conflicts with."""

    def __init__(self, faulty: Faulty) -> None:
        super().__init__(faulty)
        self._asked: dict[tuple[bytes, int], Query] = {}

    def incoming(self, peer: bytes, message: Wire) -> None:
        """Remember what is asked, to sign all of it."""
        if isinstance(message, Query):
            self._asked[peer, message.request] = message
            if len(self._asked) > HISTORY:
                del self._asked[next(iter(self._asked))]

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """A vote that rejects no leaf."""
        query = self._asked.get((peer, message.request)) if isinstance(message, Answer) else None
        if query is None or not isinstance(message, Answer) or not query.want_vote:
            return [frame]
        txids = [tx.txid for tx in query.bodies]
        if len(txids) != len(query.wtxids):
            return [frame]
        vote = accepting_vote(self.faulty, query.anchor, txids)
        valid = (TxAnswer(Code.VALID, b""),) * len(txids)
        return [frame_of(Answer(message.request, valid, vote))]


class LieAboutHeights(Behaviour):
    """Claims to be far ahead."""

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """A tip that nobody can show."""
        if not isinstance(message, TipAnnounce):
            return [frame]
        rng = self.faulty.rng
        return [
            frame_of(TipAnnounce(message.height + rng.randrange(1, 2**32), rng.randbytes(32), 0))
        ]


class ForgeEvidence(Behaviour):
    """Accuses others of what they have not signed."""

    def outgoing(self, peer: bytes, message: Wire | None, frame: Frame) -> list[Frame]:
        """An accusation beside some of the frames."""
        faulty = self.faulty
        if not isinstance(message, BlockVote) or faulty.rng.randrange(ONE_IN):
            return [frame]
        hashes = sorted(faulty.rng.randbytes(32) for _ in range(2))
        signed = [
            SignedBlock(0, 0, block_hash, faulty.key.sign(faulty.rng.randbytes(40)))
            for block_hash in hashes
        ]
        accused = faulty.rng.choice(faulty.others)
        proof = DoubleSignature(
            VoteKind.PREPARE, message.height, message.round, accused, signed[0], signed[1]
        )
        return [frame, frame_of(Evidence(proof))]


BEHAVIOURS: dict[str, type[Behaviour]] = {
    "withhold-votes": WithholdVotes,
    "withhold-proposals": WithholdProposals,
    "withhold-certificates": WithholdCertificates,
    "ambush-certificates": AmbushCertificates,
    "target-candidates": TargetCandidates,
    "grind-candidates": forgery.GrindCandidates,
    "delay": DelayEverything,
    "replay": Replay,
    "garbage": Garbage,
    "invalid-signatures": InvalidSignatures,
    "equivocate-votes": EquivocateVotes,
    "equivocate-proposals": EquivocateProposals,
    "vote-for-everything": VoteForEverything,
    "lie-about-heights": LieAboutHeights,
    "lie-about-weights": forgery.LieAboutWeights,
    "forge-history": forgery.ForgeHistory,
    "forge-evidence": ForgeEvidence,
    "wrong-chain": forgery.WrongChain,
}


class Byzantine:
    """All behaviours of one faulty node: each is given what the one before it lets out."""

    def __init__(self, faulty: Faulty, names: Iterable[str]) -> None:
        self._behaviours = [BEHAVIOURS[name](faulty) for name in names]

    def incoming(self, peer: bytes, kind: int, payload: bytes) -> None:
        """A frame arrived at this node."""
        for frame in _unpacked(Frame(kind, payload)):
            message = message_of(frame)
            if message is not None:
                for behaviour in self._behaviours:
                    behaviour.incoming(peer, message)

    def outgoing(self, peer: bytes, kind: int, payload: bytes) -> list[Frame]:
        """What is sent instead of this frame."""
        frames = _unpacked(Frame(kind, payload))
        for behaviour in self._behaviours:
            frames = [
                after
                for frame in frames
                for after in behaviour.outgoing(peer, message_of(frame), frame)
            ]
        return frames


def _unpacked(frame: Frame) -> list[Frame]:
    """What gossip has bundled, one by one: a fault is not to be dodged by the packing."""
    message = message_of(frame)
    return [Frame(*item) for item in message.items] if isinstance(message, Bundle) else [frame]
