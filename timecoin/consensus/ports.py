"""What block consensus needs of others: the rules of history, the archive, and bodies.

``chain`` implements :class:`BlockRules`, ``finality`` :class:`Archive`, ``masternodes``
:class:`Membership`. What they hand over is described by protocols, so that none needs a class of
this package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from timecoin.codec import Wire
from timecoin.crypto.keys import Verify
from timecoin.ledger.block import Block, Resolution
from timecoin.ledger.transaction import Transaction
from timecoin.machine import Record
from timecoin.masternodes.active_set import ActiveSet
from timecoin.quorum.certificate import BatchCertificate

FindBody = Callable[[bytes], Transaction | None]
"""wtxid -> the transaction, if this node holds its body."""


class MissingBodies(Exception):
    """A block cannot be judged yet: these bodies are not at hand."""

    def __init__(self, wtxids: tuple[bytes, ...]) -> None:
        """``wtxids``: the bodies to fetch, in block order."""
        super().__init__(f"{len(wtxids)} bodies missing")
        self.wtxids = wtxids


@dataclass(frozen=True, slots=True)
class Tip:
    """The newest final block; at height 0 what genesis stands for. Times are Unix milliseconds."""

    height: int
    hash: bytes
    slot: int
    slot_time: int
    timestamp_ms: int
    seed: bytes


class CheckedBlock(Protocol):
    """A block that keeps all objective rules, with what its check found out."""

    @property
    def block(self) -> Block:
        """The block itself."""

    @property
    def transactions(self) -> tuple[Transaction, ...]:
        """The bodies of its entries, in entry order."""


class Payments(Protocol):
    """Transactions that a proposer may archive, most urgent first."""

    @property
    def transactions(self) -> tuple[Transaction, ...]:
        """Bodies of the certified transactions and of the winners of resolutions."""

    @property
    def certificates(self) -> tuple[BatchCertificate, ...]:
        """The certificates that cover them."""

    @property
    def resolutions(self) -> tuple[Resolution, ...]:
        """Stuck double spends to be resolved (PROTOCOL 5)."""


class Contents(Payments, Protocol):
    """All that a proposer may put into a block; each list with the most urgent first."""

    @property
    def avs_changes(self) -> tuple[bytes, ...]:
        """Encoded changes of the active set (PROTOCOL 4)."""

    @property
    def evidence(self) -> tuple[bytes, ...]:
        """Encoded evidence of double signatures (PROTOCOL 6)."""


class Objection(Protocol):
    """Why a fresh proposal is refused although it keeps the objective rules."""

    @property
    def reason(self) -> str:
        """One line for the log."""

    @property
    def messages(self) -> tuple[Wire, ...]:
        """What the proposer lacks; sent to it."""


class BlockRules(Protocol):
    """The objective rules, applied to the block after the tip."""

    @property
    def tip(self) -> Tip:
        """The newest final block."""

    @property
    def fork_height(self) -> int | None:
        """The height at which two blocks are certified: nothing is voted for any more."""

    def active_set(self, height: int) -> ActiveSet | None:
        """avs(height), or None when it is unknown, ahead of the tip or no longer kept."""

    def check(self, block: Block, find: FindBody) -> CheckedBlock:
        """``block`` checked as the successor of the tip, with the bodies that ``find`` gives.

        ``RuleBroken`` when a rule is broken, ``MissingBodies`` when it cannot be judged yet.
        """

    def assemble(
        self,
        contents: Contents,
        slot: int,
        round_: int,
        producer: bytes,
        vrf_proof: bytes,
        timestamp_ms: int,
    ) -> CheckedBlock:
        """The producer's block: ``contents`` less what is void or does not fit, and checked."""


class Archive(Protocol):
    """The certified transactions that wait for a block, and this node's word about them."""

    def contents(self, now_ms: int, max_entries: int, max_bytes: int) -> Payments:
        """What this node would archive now."""

    def certificate(self, name: bytes) -> bytes | None:
        """The encoded certificate of that name, if it waits here (``certificate_name``)."""

    def objection(
        self, block: Block, parent_height: int, judged_ms: int, now_ms: int
    ) -> Objection | None:
        """Whether the subjective rules on resolutions and inclusion forbid to prepare ``block``.

        ``judged_ms`` is the earlier of the round's start and the proposal's arrival: a certificate
        counts as left out only if it had been held for the inclusion time by then (PROTOCOL 6).
        """

    def ban_for(self, block: Block, transactions: Sequence[Transaction]) -> tuple[Record, ...]:
        """This node prepares ``block``: sign no receipt against its resolutions from now on.

        ``transactions``: the bodies of its entries.

        The records are written with the vote, before it leaves.
        """


class Accusations(Protocol):
    """Evidence that waits for a block (``evidence`` implements it)."""

    def evidence(self) -> tuple[bytes, ...]:
        """Encoded evidence that the next block may carry, oldest first."""


class Membership(Protocol):
    """Who is in the active set, as far as that is for this node to say (PROTOCOL 4)."""

    def changes(self, now_ms: int) -> tuple[bytes, ...]:
        """Encoded changes of the active set that this node would propose now, most urgent first."""

    def objection(self, block: Block, judged_ms: int, now_ms: int) -> Objection | None:
        """Whether the removals of ``block`` disagree with what this node has seen.

        ``judged_ms`` as for :meth:`Archive.objection`.
        """


@dataclass(frozen=True, slots=True)
class Ports:
    """All of it, as handed to the machine."""

    rules: BlockRules
    archive: Archive
    accusations: Accusations
    membership: Membership
    find: FindBody
    verify: Verify
