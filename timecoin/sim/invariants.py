"""What must hold in every run, checked as it happens and once more at the end."""

from __future__ import annotations

from timecoin.chain.commit import BlockConnected
from timecoin.codec import CodecError, decode
from timecoin.consensus.messages import BlockVote, Proposal, Votes, vote_statement
from timecoin.crypto.keys import verify
from timecoin.finality.events import StatusChanged
from timecoin.gossip.messages import Bundle
from timecoin.ledger.transaction import Outpoint
from timecoin.node.catalog import MESSAGES
from timecoin.node.wiring import observe
from timecoin.quorum.statement import VoteKind, proposal_statement
from timecoin.sim.world import SimNode, World

OUTPUTS_A_BLOCK = 64
"""A node walks its UTXO set once in so many blocks that this many outputs fall to each."""


class InvariantBroken(AssertionError):
    """The node code broke a promise; the text says which and where."""


class Invariants:
    """Watches a world; raises :class:`InvariantBroken` at the first broken promise."""

    def __init__(self, world: World, faulty: frozenset[bytes] = frozenset()) -> None:
        """``faulty``: voting keys of members that may sign what they like."""
        self._world = world
        self._faulty = faulty
        self._next_walk = [0] * len(world.nodes)
        """From which height on the whole UTXO set of each node is to be walked again."""
        self._hash_at: dict[int, bytes] = {}
        self._final_spender: dict[Outpoint, bytes] = {}
        self._signed: dict[tuple[bytes, int, int, int], bytes] = {}
        self.blocks_checked = 0
        self.finals_checked = 0
        world.on_start(self._watch)
        world.network.observers.append(self._on_frame)

    def _watch(self, node: SimNode) -> None:
        observe(node.running, BlockConnected, lambda signal: self._on_block(node, signal))
        observe(node.running, StatusChanged, self._on_status)

    def _on_block(self, node: SimNode, signal: BlockConnected) -> None:
        height, found = signal.block.height, signal.block.hash
        agreed = self._hash_at.setdefault(height, found)
        if agreed != found:
            raise InvariantBroken(
                f"agreement: node {node.number} has {found.hex()} at {height}, not {agreed.hex()}"
            )
        turn = height % len(self._world.nodes) == node.number
        if turn and height >= self._next_walk[node.number]:
            outputs = self._walk(node)
            self._next_walk[node.number] = height + outputs // OUTPUTS_A_BLOCK
        self.blocks_checked += 1

    def _walk(self, node: SimNode) -> int:
        """Sum and root of all outputs in the node's store; how many there are."""
        audit = node.running.views.audit()
        if not audit.sound:
            raise InvariantBroken(f"supply: node {node.number} at height {audit.height}")
        return audit.outputs

    def _on_status(self, signal: StatusChanged) -> None:
        if not signal.status.finalized:
            return
        self.finals_checked += 1
        tx = self._world.submitted.get(signal.txid)
        if tx is None:
            return
        for point in tx.outpoints:
            spender = self._final_spender.setdefault(point, signal.txid)
            if spender != signal.txid:
                raise InvariantBroken(
                    f"no double spend: {point.hex()} by {spender.hex()} and {signal.txid.hex()}"
                )

    def check_end(self) -> None:
        """To be called when the world has come to rest: links healed, nodes up."""
        final = sorted({txid for _, txid in self._world.final_ms})
        for node in self._world.nodes:
            if node.node is None:
                continue
            self._walk(node)
            for txid in final:
                found = node.node.finality.status(txid)
                if found is None or not found.status.finalized:
                    raise InvariantBroken(f"final is kept: node {node.number} lost {txid.hex()}")

    def _on_frame(self, kind: int, payload: bytes) -> None:
        """What validators sign on the wire: one block for a height, round and kind of vote."""
        try:
            self._on_signed_frame(kind, payload)
        except CodecError:
            if not self._faulty:
                raise

    def _on_signed_frame(self, kind: int, payload: bytes) -> None:
        known = MESSAGES[kind]
        if known.type is Bundle:
            for inner, item in decode(payload, Bundle, known.max_bytes).items:
                self._on_frame(inner, item)
        elif known.type is BlockVote:
            self._on_vote(decode(payload, BlockVote, known.max_bytes))
        elif known.type is Votes:
            for vote in decode(payload, Votes, known.max_bytes).votes:
                self._on_vote(vote)
        elif known.type is Proposal:
            proposal = decode(payload, Proposal, known.max_bytes)
            place = (proposal.proposer, proposal.height, proposal.round, VoteKind.PROPOSAL)
            block_hash = proposal.block.hash
            statement = proposal_statement(
                self._world.genesis.chain_id,
                proposal.height,
                proposal.round,
                proposal.valid_round,
                proposal.slot,
                block_hash,
            )
            self._on_signed(place, block_hash, statement, proposal.signature)

    def _on_vote(self, vote: BlockVote) -> None:
        place = (vote.voter, vote.height, vote.round, vote.kind)
        statement = vote_statement(self._world.genesis.chain_id, vote)
        self._on_signed(place, vote.block_hash, statement, vote.signature)

    def _on_signed(
        self,
        place: tuple[bytes, int, int, int],
        block_hash: bytes,
        statement: bytes,
        signature: bytes,
    ) -> None:
        """Where members are faulty, what they send in others' names has to be told apart."""
        if place[0] in self._faulty:
            return
        if self._faulty and not verify(place[0], statement, signature):
            return
        if self._signed.setdefault(place, block_hash) != block_hash:
            voter, height, round_, kind = place
            raise InvariantBroken(
                f"never two votes: {voter.hex()} at height {height}, round {round_}, kind {kind}"
            )
