"""What a recording is made of: inputs, answers of the world, effects.

One block of the file is one :class:`Turn`: an input from outside with all that it led to, in the
order in which it happened. Inputs nest, for a send may end its link and a listener may submit.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from timecoin.codec import U8, U32, U64, Bytes32, Wire
from timecoin.consensus.seat import Identity
from timecoin.crypto.hashing import blake3_256
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.transaction import Transaction
from timecoin.masternodes.changes import Leave
from timecoin.mempool.policy import PoolLimits
from timecoin.node.node import NodeSettings
from timecoin.p2p.ports import PeerInfo
from timecoin.params import FinalityParams
from timecoin.signal import Signal
from timecoin.store.engine import Row

Key = Annotated[bytes, msgspec.Meta(max_length=64)]
"""A node id or a voting key."""


class Header(Wire, frozen=True):
    """The node that is recorded: all of its settings but the secret keys."""

    software: str
    genesis: Genesis
    voting_pubkey: Bytes32 | None
    pool: PoolLimits
    finality: FinalityParams
    address_index: bool
    snapshot_sync: bool
    prune: U64
    checkpoints: tuple[tuple[U64, Bytes32], ...]
    joins_by_itself: bool

    def settings(self, identity: Identity | None) -> NodeSettings:
        """The settings, with the keys that are not in the recording."""
        return NodeSettings(
            genesis=self.genesis,
            identity=identity,
            pool=self.pool,
            finality=self.finality,
            address_index=self.address_index,
            snapshot_sync=self.snapshot_sync,
            prune=self.prune,
            checkpoints=self.checkpoints,
            joins_by_itself=self.joins_by_itself,
        )


def header_of(settings: NodeSettings, software: str) -> Header:
    """The header of a recording of a node with ``settings``."""
    identity = settings.identity
    return Header(
        software=software,
        genesis=settings.genesis,
        voting_pubkey=None if identity is None else identity.key.public,
        pool=settings.pool,
        finality=settings.finality,
        address_index=settings.address_index,
        snapshot_sync=settings.snapshot_sync,
        prune=settings.prune,
        checkpoints=settings.checkpoints,
        joins_by_itself=settings.joins_by_itself,
    )


# Inputs.


class Stored(Wire, frozen=True, tag=0):
    """Rows that the store held before the node was built."""

    rows: tuple[Row, ...]


class Build(Wire, frozen=True, tag=1):
    """The node is built on its ports."""


class Start(Wire, frozen=True, tag=2):
    """The machines restore themselves and begin."""


class Stop(Wire, frozen=True, tag=3):
    """Nothing leaves the node any more."""


class Fire(Wire, frozen=True, tag=4):
    """The clock makes call ``number``: a timer, or a turn of the driver's loop."""

    number: U64


class LinkOpened(Wire, frozen=True, tag=5):
    """A link is up."""

    peer: Key
    masternode: Key | None


class LinkClosed(Wire, frozen=True, tag=6):
    """A link is gone."""

    peer: Key


class Frame(Wire, frozen=True, tag=7):
    """A frame has arrived."""

    peer: Key
    kind: U8
    payload: bytes


class Done(Wire, frozen=True, tag=8):
    """Work ``number`` that ran aside is done."""

    number: U64


class Submit(Wire, frozen=True, tag=9):
    """A user hands in a transaction."""

    tx: Transaction


class AskLeave(Wire, frozen=True, tag=10):
    """The user asks that a masternode leaves."""

    leave: Leave


class AskJoin(Wire, frozen=True, tag=11):
    """The user asks that this masternode joins; see ``JoinWith`` for the ``way``."""

    way: Key
    at_once: bool


class End(Wire, frozen=True, tag=12):
    """The node has returned from the latest input that is still open."""


# Answers.


class Time(Wire, frozen=True, tag=20):
    """The clock was read."""

    seconds: float


class Seed(Wire, frozen=True, tag=21):
    """What the generator for ``purpose`` begins with."""

    purpose: str
    seed: Bytes32


class Peers(Wire, frozen=True, tag=22):
    """The established links."""

    peers: tuple[PeerInfo, ...]


# Effects.


class Sent(Wire, frozen=True, tag=30):
    """A frame leaves; ``payload`` None is that of the frame sent before."""

    peer: Key
    kind: U8
    payload: bytes | None


class Blamed(Wire, frozen=True, tag=31):
    """A peer is charged."""

    peer: Key
    points: U32
    reason: str


class Praised(Wire, frozen=True, tag=32):
    """A peer was useful."""

    peer: Key
    points: U32


class Height(Wire, frozen=True, tag=33):
    """What later hellos name."""

    height: U64


class Written(Wire, frozen=True, tag=34):
    """A batch for the store."""

    rows: tuple[Row, ...]
    sync: bool


class CallLater(Wire, frozen=True, tag=35):
    """Call ``number`` shall be made in so many seconds."""

    number: U64
    delay_s: float


class Cancelled(Wire, frozen=True, tag=36):
    """Call ``number`` shall not be made."""

    number: U64


class Aside(Wire, frozen=True, tag=37):
    """Work ``number`` is to run aside."""

    number: U64


class Published(Wire, frozen=True, tag=38):
    """A signal, by its class and a hash of what it says; all inside listeners have heard it."""

    name: str
    digest: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


class Judged(Wire, frozen=True, tag=39):
    """What a user is told of a submitted transaction."""

    admission: str
    rule: str


class Crashed(Wire, frozen=True, tag=40):
    """A machine or a listener has raised; the node has stopped."""

    error: str


class Cleared(Wire, frozen=True, tag=41):
    """All rows of a table are deleted."""

    table: str


class Failed(Wire, frozen=True, tag=42):
    """The store did not take the batch before: the class and the text of what it raised."""

    kind: str
    text: str


LinkInput = LinkOpened | LinkClosed | Frame
Input = Build | Start | Stop | Fire | Done | Submit | AskLeave | AskJoin | LinkInput
Answer = Time | Seed | Peers
Effect = (
    Sent
    | Blamed
    | Praised
    | Height
    | Written
    | CallLater
    | Cancelled
    | Aside
    | Published
    | Judged
    | Crashed
    | Cleared
    | Failed
)
Item = Stored | Input | End | Answer | Effect


class Turn(Wire, frozen=True):
    """One input from outside and what came of it, up to its :class:`End`; or stored rows."""

    items: tuple[Item, ...]


_ENCODER = msgspec.msgpack.Encoder(
    order="deterministic",
    enc_hook=lambda value: type(value).__name__,  # of what has no encoding only its class counts
)


def published(signal: Signal) -> Published:
    """The item that stands for ``signal``."""
    return Published(type(signal).__name__, blake3_256(_ENCODER.encode(signal))[:16])
