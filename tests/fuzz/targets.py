"""The functions that are fed: each takes any bytes, and raises only where there is a bug.

A refusal of the declared kind (``CodecError``, ``FrameError``, ``ConfigError``, ...) is an answer;
any other exception, and every broken promise, is a finding.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.doors import fuzz_http, fuzz_session, fuzz_websocket
from tests.fuzz.kept import fuzz_files, fuzz_proofs, fuzz_rows
from tests.fuzz.slowcodec import NotCanonical, slow_decode
from timecoin.chain.entryproof import EntryProof
from timecoin.chain.loading import LoadState
from timecoin.cli.soak.reading import parse_reading
from timecoin.codec import CodecError, decode, encode
from timecoin.consensus import journal
from timecoin.crypto.address import decode_address, encode_address
from timecoin.finality.emergency import EmergencyRow
from timecoin.finality.proof import FinalityProof
from timecoin.finality.receipts import Receipted
from timecoin.finality.votes import Lock
from timecoin.ledger.amount import format_time, parse_time
from timecoin.ledger.block import Block
from timecoin.ledger.genesis import genesis_from_json, genesis_to_json
from timecoin.ledger.rules import RuleBroken
from timecoin.ledger.script import parse_script
from timecoin.ledger.transaction import Transaction
from timecoin.ledger.utxo import Utxo
from timecoin.masternodes.active_set import ActiveSet
from timecoin.masternodes.changes import Change
from timecoin.masternodes.history import Moment
from timecoin.node.catalog import MESSAGES
from timecoin.node.config import ConfigError, read_config
from timecoin.node.log.levels import read_levels
from timecoin.p2p import addressbook, bans, reputation
from timecoin.p2p import messages as session
from timecoin.p2p.address import parse_peer_address
from timecoin.p2p.framing import Frame, FrameBuffer, FrameError
from timecoin.params import Network
from timecoin.quorum.certificate import BatchCertificate, BlockCertificate
from timecoin.rpc.auth import Login, parse_allowip, parse_whitelist
from timecoin.rpc.earnings import Earned
from timecoin.rpc.envelope import Batch, Call, Invalid, read_body
from timecoin.rpc.errors import INTERNAL_ERROR, RpcError
from timecoin.rpc.jsonvalues import dumps, loads, parse_amount
from timecoin.rpc.method import Method
from timecoin.rpc.reference import published_methods
from timecoin.store import chainstore, schema
from timecoin.wallet.book import BookRow
from timecoin.wallet.uri import parse_payment_uri, payment_uri
from timecoin.wallet.walletfile import WalletFile

TYPES: tuple[object, ...] = (
    *(known.type for known in MESSAGES.values()),
    session.Hello,
    session.StakeProof,
    session.Ping,
    session.Pong,
    session.Goodbye,
    Transaction,
    Block,
    Utxo,
    ActiveSet,
    Change,
    BatchCertificate,
    BlockCertificate,
    FinalityProof,
    EntryProof,
    WalletFile,
    session.GetAddresses,
    session.Addresses,
    session.Observed,
    LoadState,
    journal.Place,
    journal.Broken,
    EmergencyRow,
    Receipted,
    Lock,
    tuple[Moment, ...],
    addressbook.Row,
    bans.Row,
    reputation.Row,
    Earned,
    chainstore.ArchivedRow,
    chainstore.UndoRow,
    chainstore.ForkRow,
    schema._EarlierSet,
    BookRow,
)
"""Everything that is read from links, disks or callers as consensus bytes, by its number here."""
MAX_INPUT_BYTES = 1 << 20
MAX_BATCH = 50
METHODS: dict[str, Method] = {
    method.name: method for listed in published_methods().values() for method in listed
}


def fuzz_wire(data: bytes) -> None:
    """The first byte chooses the type: both decoders agree, and a value has one encoding."""
    if not data:
        return
    kind, payload = TYPES[data[0] % len(TYPES)], data[1:]
    try:
        value: object = decode(payload, kind, MAX_INPUT_BYTES)  # type: ignore[arg-type]
    except CodecError as error:
        value = error
    try:
        slow_decode(payload, kind)
    except NotCanonical as refused:
        if not isinstance(value, CodecError):
            raise AssertionError(f"only the slow decoder refuses: {refused}") from refused
    else:
        if isinstance(value, CodecError):
            raise AssertionError("only the fast decoder refuses") from value
        assert encode(value) == payload, "decoded, but encoded otherwise"


def fuzz_frames(data: bytes) -> None:
    """A stream cut anywhere gives the same frames and the same refusal."""
    if not data:
        return
    step = 1 + data[0] % 64
    stream = data[1:]
    whole = _frames([stream])
    pieces = _frames([stream[at : at + step] for at in range(0, len(stream), step)])
    assert whole == pieces, "frames depend on how the stream is cut"


def _frames(pieces: list[bytes]) -> tuple[list[Frame], bool]:
    buffer = FrameBuffer({66: 100_000})
    buffer.allow_large()
    found: list[Frame] = []
    for piece in pieces:
        buffer.append(piece)
        try:
            while (frame := buffer.next()) is not None:
                found.append(frame)
        except FrameError:
            return found, True
    return found, False


def fuzz_rpc(data: bytes) -> None:
    """A body of JSON-RPC: read, its parameters judged, every refusal a proper error."""
    try:
        asked = read_body(data, MAX_BATCH)
    except RpcError as error:
        assert error.code != INTERNAL_ERROR
        return
    for item in asked.items if isinstance(asked, Batch) else (asked,):
        _judge(item)


def _judge(item: Call | Invalid) -> None:
    if isinstance(item, Invalid):
        dumps(item.answer())
        return
    try:
        dumps(item.result(None))
        method = METHODS.get(item.method)
        if method is not None:
            method.signature.read(item.params)
    except RpcError as error:
        assert error.code != INTERNAL_ERROR
        dumps(item.error(error))


def fuzz_json(data: bytes) -> None:
    """A JSON text that is read can be written, and is read back as the same."""
    try:
        value = loads(data)
        text = dumps(value)
    except ValueError:
        return
    assert loads(text) == value, "not the value that was written"


def fuzz_config(data: bytes) -> None:
    """A configuration file is read, or refused in one line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "timecoin.conf"
        path.write_bytes(data)
        try:
            read_config(path)
        except ConfigError as error:
            assert len(str(error).splitlines()) == 1, "more than one line for the operator"


def fuzz_genesis(data: bytes) -> None:
    """A genesis file is read and written back, or refused."""
    with contextlib.suppress(ValueError):
        genesis = genesis_from_json(data.decode("utf-8"))
        assert genesis_from_json(genesis_to_json(genesis)) == genesis


def fuzz_scripts(data: bytes) -> None:
    """A lock script is read and written back to the same bytes, or refused."""
    try:
        script = parse_script(data)
    except RuleBroken:
        return
    assert script.encode() == data, "a script with two encodings"


def fuzz_texts(data: bytes) -> None:
    """Addresses, amounts, payment links, peers and settings as users type them."""
    text = data.decode("utf-8", "surrogateescape")
    for read in (
        read_levels,
        Login.from_rpcauth,
        lambda line: parse_allowip([line]),
        lambda line: parse_whitelist([line, line]),
        lambda page: parse_reading(page, "node", 0.0, 0.0),
    ):
        with contextlib.suppress(ValueError, KeyError):
            read(text)
    with contextlib.suppress(ValueError):
        units = parse_time(text)
        assert parse_time(format_time(units)) == units
    with contextlib.suppress(RpcError):
        assert parse_amount(text) >= 0
    with contextlib.suppress(ValueError):
        subject = bans.parse_subject(text)
        assert bans.parse_subject(bans.subject_text(subject)) == subject
    for network in Network:
        with contextlib.suppress(ValueError):
            found = decode_address(network, text)
            assert encode_address(network, found) == text.lower(), "an address with two texts"
        with contextlib.suppress(ValueError):
            payment = parse_payment_uri(network, text)
            assert parse_payment_uri(network, payment_uri(network, payment)) == payment
    with contextlib.suppress(ValueError):
        peer = parse_peer_address(text)
        assert parse_peer_address(str(peer)) == peer


TARGETS: dict[str, Callable[[bytes], None]] = {
    "wire": fuzz_wire,
    "frames": fuzz_frames,
    "rpc": fuzz_rpc,
    "json": fuzz_json,
    "config": fuzz_config,
    "genesis": fuzz_genesis,
    "scripts": fuzz_scripts,
    "texts": fuzz_texts,
    "rows": fuzz_rows,
    "files": fuzz_files,
    "proofs": fuzz_proofs,
    "http": fuzz_http,
    "websocket": fuzz_websocket,
    "session": fuzz_session,
}
