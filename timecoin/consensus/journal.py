"""What consensus records, and how it is read back (PROTOCOL 6, write-ahead log).

Rows of the table ``consensus`` (the integers in keys are big-endian):

==========================  ====================================================================
``v`` height round kind     a :class:`BlockVote` this node signed; kept for 1,000 heights
``s``                       :class:`Place`: height and round that it was in
``p``                       its last :class:`Proposal`
``q``                       the latest prepare quorum known at this height
``b`` block hash            a block with a prepare quorum at this height
``x``                       :class:`Broken`: two precommit quorums of one height
==========================  ====================================================================

The table ``bodies`` holds the transactions of those blocks by wtxid. The lock needs no row of its
own: it is the last precommit for a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from timecoin import params
from timecoin.codec import U32, U64, CodecError, Wire, decode, encode
from timecoin.consensus.messages import MAX_PROPOSAL_BYTES, BlockVote, Proposal
from timecoin.consensus.ports import CheckedBlock
from timecoin.ledger.block import Block
from timecoin.ledger.transaction import Transaction, decode_transaction
from timecoin.machine import Record
from timecoin.quorum.certificate import BlockCertificate

TABLE = "consensus"
BODIES_TABLE = "bodies"
HEIGHTS_KEPT = 1_000

_VOTE, _PLACE, _PROPOSAL, _QUORUM, _BLOCK, _BROKEN = b"v", b"s", b"p", b"q", b"b", b"x"


class JournalError(Exception):
    """The journal cannot be read: going on could sign twice."""


class Place(Wire, frozen=True):
    """Height and round of an unfinished agreement."""

    height: U64
    round: U32


class Broken(Wire, frozen=True):
    """Two precommit quorums of one height: proof that a third of the weight signed twice."""

    first: BlockCertificate
    second: BlockCertificate


@dataclass(slots=True)
class Journaled:
    """What the rows of the last life say."""

    votes: list[BlockVote] = field(default_factory=list)
    place: Place | None = None
    proposal: Proposal | None = None
    quorum: BlockCertificate | None = None
    blocks: dict[bytes, Block] = field(default_factory=dict)
    bodies: dict[bytes, Transaction] = field(default_factory=dict)
    broken: Broken | None = None


def vote_key(height: int, round_: int, kind: int) -> bytes:
    """The row of what this node signed at that position."""
    return _VOTE + height.to_bytes(8, "big") + round_.to_bytes(4, "big") + bytes((kind,))


def read_rows(rows: Iterable[tuple[str, bytes, bytes]]) -> Journaled:
    """Rows (table, key, value) of both tables; ``JournalError`` if one is not what it should be."""
    found = Journaled()
    for table, key, value in rows:
        try:
            if table == BODIES_TABLE:
                found.bodies[key] = decode_transaction(value)
            elif table == TABLE:
                _read_row(found, key, value)
        except CodecError as error:
            raise JournalError(f"row {key.hex()} of {table}: {error}") from error
    return found


def _read_row(found: Journaled, key: bytes, value: bytes) -> None:
    limit = MAX_PROPOSAL_BYTES
    match key[:1]:
        case b"v":
            vote = decode(value, BlockVote, limit)
            if key != vote_key(vote.height, vote.round, vote.kind):
                raise CodecError("a vote of another position")
            found.votes.append(vote)
        case b"s":
            found.place = decode(value, Place, limit)
        case b"p":
            found.proposal = decode(value, Proposal, limit)
        case b"q":
            found.quorum = decode(value, BlockCertificate, limit)
        case b"b":
            block = decode(value, Block, params.MAX_BLOCK_BYTES)
            if key[1:] != block.hash:
                raise CodecError("another block")
            found.blocks[block.hash] = block
        case b"x":
            found.broken = decode(value, Broken, limit)
        case _:
            raise CodecError("unknown kind of row")


class Journal:
    """Makes the records; knows which rows of the current height there are, to clear them later."""

    def __init__(self, found: Journaled) -> None:
        """``found``: what the rows of the last life said; they are cleared like new ones."""
        self._rows: dict[tuple[str, bytes], None] = {}
        for block_hash in found.blocks:
            self._rows[TABLE, _BLOCK + block_hash] = None
        for wtxid in found.bodies:
            self._rows[BODIES_TABLE, wtxid] = None
        for key, row in ((_PROPOSAL, found.proposal), (_QUORUM, found.quorum)):
            if row is not None:
                self._rows[TABLE, key] = None

    def vote(self, vote: BlockVote) -> Record:
        """What was signed, before it leaves."""
        return Record(TABLE, vote_key(vote.height, vote.round, vote.kind), encode(vote))

    def place(self, height: int, round_: int) -> Record:
        """Where this node is; votes say it too, so this need not be durable."""
        return Record(TABLE, _PLACE, encode(Place(height, round_)), durable=False)

    def proposal(self, proposal: Proposal) -> Record:
        """This node's proposal, before it leaves: it is sent again after a restart."""
        return self._row(TABLE, _PROPOSAL, encode(proposal))

    def learned(self, quorum: BlockCertificate, checked: CheckedBlock) -> list[Record]:
        """A block with its prepare quorum and its bodies, before a precommit for it leaves."""
        records = [self._row(TABLE, _QUORUM, encode(quorum))]
        if (TABLE, _BLOCK + checked.block.hash) not in self._rows:
            for transaction in checked.transactions:
                records.append(self._row(BODIES_TABLE, transaction.wtxid, transaction.encoded))
            records.append(self._row(TABLE, _BLOCK + checked.block.hash, encode(checked.block)))
        return records

    def broken(self, first: BlockCertificate, second: BlockCertificate) -> Record:
        """Proof that safety is broken: kept until an operator removes it."""
        return Record(TABLE, _BROKEN, encode(Broken(first, second)))

    def clear(self, old_votes: Sequence[BlockVote]) -> list[Record]:
        """The height is over: drop its rows, and ``old_votes`` of long ago."""
        keys = [*self._rows, *((TABLE, vote_key(v.height, v.round, v.kind)) for v in old_votes)]
        self._rows = {}
        return [Record(table, key, None, durable=False) for table, key in keys]

    def _row(self, table: str, key: bytes, value: bytes) -> Record:
        self._rows[table, key] = None
        return Record(table, key, value)
