"""One consensus machine under a microscope: validator 0 of several, the others played by a test."""

from __future__ import annotations

from collections.abc import Sequence

from tests.consensus.fakes import (
    SLOT_MS,
    TIMING,
    FakeAccusations,
    FakeArchive,
    FakeChain,
    FakeChecked,
    FakeContents,
    FakeMembership,
    make_genesis,
    signing_key,
    verify,
    vrf_seed,
)
from tests.consensus.test_votes import ballot
from timecoin.codec import Wire
from timecoin.consensus.machine import Consensus, ConsensusView
from timecoin.consensus.messages import BlockVote, CandidateMessage, Proposal, candidate_statement
from timecoin.consensus.ports import Ports
from timecoin.consensus.seat import ConsensusSettings, Identity
from timecoin.consensus.sortition import alpha, priority
from timecoin.consensus.timeouts import Timeout
from timecoin.crypto import vrf
from timecoin.ledger.block import Block
from timecoin.ledger.transaction import Transaction
from timecoin.machine import (
    Blame,
    Broadcast,
    Effect,
    Emit,
    LinkUp,
    Received,
    Record,
    Restore,
    Send,
    Spread,
    Start,
    StartTimer,
    TimerFired,
)
from timecoin.quorum.certificate import BatchCertificate, BlockCertificate, BlockSignature
from timecoin.quorum.snapshots import voter_index
from timecoin.quorum.statement import VoteKind, proposal_statement
from timecoin.signal import Signal


def peer(index: int) -> bytes:
    """The node id of validator ``index``."""
    return bytes([index]) * 32


class Desk:
    """The machine, its fakes and what it did; ``now_ms`` is the test's to set."""

    def __init__(self, weights: Sequence[int] = (100,) * 4, follows: bool = False) -> None:
        self.chain = FakeChain(make_genesis(list(weights)))
        self.archive = FakeArchive()
        self.accusations = FakeAccusations()
        self.membership = FakeMembership()
        self.bodies: dict[bytes, Transaction] = {}
        self.rows: dict[tuple[str, bytes], bytes] = {}
        self.count = len(weights)
        self.first_slot = self.chain.tip.slot + 1
        self.now_ms = self.first_slot * SLOT_MS
        self.effects: list[Effect] = []
        self._identity = None if follows else Identity(signing_key(0), vrf_seed(0))
        self.boot()

    @property
    def chain_id(self) -> bytes:
        return self.chain.genesis.chain_id

    def boot(self) -> None:
        """A new life on the same journal and chain."""
        settings = ConsensusSettings(self.chain_id, SLOT_MS, TIMING)
        ports = Ports(
            self.chain,
            self.archive,
            self.accusations,
            self.membership,
            self.bodies.get,
            verify,
        )
        self.machine = Consensus(settings, ports, self._identity)

    def restart(self) -> list[Effect]:
        """A new life, restored and started."""
        self.boot()
        rows = tuple((table, key, value) for (table, key), value in self.rows.items())
        self.do(Restore(rows))
        return self.do(Start())

    def do(self, event: object) -> list[Effect]:
        """Hand over ``event``; records go into ``rows``, all effects are remembered."""
        effects = self.machine.handle(event, self.now_ms)
        for effect in effects:
            if isinstance(effect, Record):
                if effect.value is None:
                    self.rows.pop((effect.table, effect.key), None)
                else:
                    self.rows[effect.table, effect.key] = effect.value
        self.effects += effects
        return effects

    def hear(self, index: int, message: Wire) -> list[Effect]:
        return self.do(Received(peer(index), message))

    def start(self, *standing: int) -> None:
        """Start in the first slot, linked to all; the candidates of ``standing`` are known."""
        for index in range(1, self.count):
            self.do(LinkUp(peer(index), signing_key(index).public))
        self.do(Start())
        for index in standing:
            self.hear(index, self.candidate(index))

    def collect(self, slot: int | None = None) -> list[Effect]:
        """The collection delay is over: round 0 begins."""
        self.now_ms += TIMING.collection_delay_ms
        return self.do(TimerFired(("collect", self.height, slot or self.first_slot)))

    def expire(self, timeout: Timeout, round_: int = 0) -> list[Effect]:
        return self.do(TimerFired(("round", self.height, round_, int(timeout))))

    @property
    def height(self) -> int:
        return self.chain.tip.height + 1

    @property
    def view(self) -> ConsensusView:
        view = self.machine.view()
        assert view is not None
        return view

    # What the others would say.

    def candidate(self, index: int, slot: int | None = None) -> CandidateMessage:
        slot = self.first_slot if slot is None else slot
        proof = vrf.prove(vrf_seed(index), alpha(self.chain_id, self.chain.tip.seed, slot))
        statement = candidate_statement(self.chain_id, self.height, slot, proof)
        key = signing_key(index)
        return CandidateMessage(self.height, slot, key.public, proof, key.sign(statement))

    def ranking(self, slot: int | None = None) -> list[int]:
        """All validators, the first in turn first."""
        drawn = []
        for index in range(self.count):
            candidate = self.candidate(index, slot)
            weight = self.chain.members.weights[candidate.pubkey]
            beta = vrf.proof_to_hash(candidate.vrf_proof)
            drawn.append((priority(beta, weight), candidate.pubkey, index))
        return [index for _, _, index in sorted(drawn)]

    def block(
        self,
        index: int,
        slot: int | None = None,
        round_: int = 0,
        timestamp_ms: int | None = None,
        transactions: Sequence[Transaction] = (),
        avs_changes: tuple[bytes, ...] = (),
        certificates: tuple[BatchCertificate, ...] = (),
    ) -> Block:
        return self.checked(
            index, slot, round_, timestamp_ms, transactions, avs_changes, certificates
        ).block

    def checked(
        self,
        index: int,
        slot: int | None = None,
        round_: int = 0,
        timestamp_ms: int | None = None,
        transactions: Sequence[Transaction] = (),
        avs_changes: tuple[bytes, ...] = (),
        certificates: tuple[BatchCertificate, ...] = (),
    ) -> FakeChecked:
        candidate = self.candidate(index, slot)
        contents = FakeContents(tuple(transactions), certificates, avs_changes=avs_changes)
        return self.chain.assemble(
            contents,
            candidate.slot,
            round_,
            candidate.pubkey,
            candidate.vrf_proof,
            self.now_ms if timestamp_ms is None else timestamp_ms,
        )

    def proposal(
        self,
        index: int,
        block: Block,
        round_: int = 0,
        slot: int | None = None,
        candidates: Sequence[int] | None = None,
        quorum: BlockCertificate | None = None,
    ) -> Proposal:
        slot = self.first_slot if slot is None else slot
        valid_round = 0 if quorum is None else quorum.round + 1
        statement = proposal_statement(
            self.chain_id, self.height, round_, valid_round, slot, block.hash
        )
        standing = range(self.count) if candidates is None else candidates
        key = signing_key(index)
        return Proposal(
            self.height,
            round_,
            valid_round,
            slot,
            tuple(self.candidate(each, slot) for each in standing),
            block,
            quorum,
            key.public,
            key.sign(statement),
        )

    def vote(
        self, index: int, block_hash: bytes, kind: VoteKind = VoteKind.PREPARE, round_: int = 0
    ) -> BlockVote:
        return ballot(index, block_hash, kind, round_, self.height, self.chain_id)

    def quorum(
        self,
        block_hash: bytes,
        round_: int = 0,
        voters: Sequence[int] = (1, 2, 3),
        kind: VoteKind = VoteKind.PREPARE,
    ) -> BlockCertificate:
        index_of = {pubkey: n for n, pubkey in enumerate(voter_index((self.chain.members,)))}
        signed = [self.vote(voter, block_hash, kind, round_) for voter in voters]
        signatures = sorted((index_of[vote.voter], vote.signature) for vote in signed)
        return BlockCertificate(
            self.height, round_, block_hash, tuple(BlockSignature(*each) for each in signatures)
        )


def votes_in(effects: Sequence[Effect], kind: VoteKind = VoteKind.PREPARE) -> list[bytes]:
    """The block hashes of the votes broadcast."""
    return [
        message.block_hash
        for message in broadcasts(effects)
        if isinstance(message, BlockVote) and message.kind == kind
    ]


def signals_in(effects: Sequence[Effect], kind: type[Signal]) -> list[Signal]:
    return [e.signal for e in effects if isinstance(e, Emit) and type(e.signal) is kind]


def blames_in(effects: Sequence[Effect]) -> list[tuple[bytes, str]]:
    return [(e.peer, e.reason) for e in effects if isinstance(e, Blame)]


def sends_in(effects: Sequence[Effect]) -> list[tuple[bytes, Wire]]:
    return [(e.peer, e.message) for e in effects if isinstance(e, Send)]


def broadcasts(effects: Sequence[Effect]) -> list[Wire]:
    """What is this node's own and goes to everybody."""
    return [
        effect.message
        for effect in effects
        if isinstance(effect, Broadcast) or (isinstance(effect, Spread) and effect.author is None)
    ]


def relayed(effects: Sequence[Effect]) -> list[Wire]:
    """What others said and this node passes on."""
    return [e.message for e in effects if isinstance(e, Spread) and e.author is not None]


def timers(effects: Sequence[Effect]) -> dict[tuple[str | int | bytes, ...], int]:
    """The delays of the timers started, by name."""
    return {e.name: e.delay_ms for e in effects if isinstance(e, StartTimer)}
