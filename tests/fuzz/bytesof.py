"""Seeds of the targets in ``doors`` and ``kept``: what users, peers and nodes really write."""

from __future__ import annotations

import datetime
import json
import struct
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from tests.fuzz.doors import BOB, CHAIN_ID
from tests.fuzz.kept import GENESIS, KEYS
from tests.rpc.http import get, post
from timecoin.chain.entryproof import make_entry_proof
from timecoin.cli.devnet import founding
from timecoin.cli.devnet.record import RECORD_NAME, write_records
from timecoin.codec import Wire, encode
from timecoin.node.node import NodeSettings
from timecoin.node.recording import items
from timecoin.node.recording.file import MAGIC, block
from timecoin.p2p import bans, reputation
from timecoin.p2p import messages as session
from timecoin.p2p.framing import encode_frame
from timecoin.p2p.tls import self_signed
from timecoin.params import PROTOCOL_VERSION, Network
from timecoin.rpc.tls import TlsFiles, ensure_certificate
from timecoin.sim.world import World
from timecoin.store.keys import JOURNAL
from timecoin.wallet.keystore import Keystore

ROWS_OF_A_TABLE = 3
PING = b'{"jsonrpc":"2.0","method":"ping","id":1}'


def rows(world: World) -> Iterator[bytes]:
    """Rows of a node's journal, and of an address book."""
    for number, table in enumerate(JOURNAL):
        for key, value in islice(world.nodes[0].engine.scan(table), ROWS_OF_A_TABLE):
            yield _row(number, key, value)
    yield _row(0, b"s" + BOB, encode(reputation.Row(-5, 1)))
    yield _row(0, b"b192.0.2.1", encode(bans.Row(1, 2, "noise")))


def _row(table: int, key: bytes, value: bytes) -> bytes:
    letter = max(KEYS.find(key[:1]), 0)
    return bytes([table, letter, len(key) - 1]) + key[1:] + value


def files() -> Iterator[bytes]:
    """A wallet, keys, certificates, a cookie, the record of a devnet, a recording of a node."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Keystore.create(folder / "wallet", Network.DEVNET, bytes(32), 1)
        yield (folder / "wallet").read_bytes()
        pair = TlsFiles(folder / "cert", folder / "key", own=True)
        ensure_certificate(pair, [], datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
        yield pair.certificate.read_bytes() + pair.key.read_bytes()
        write_records(folder, founding.plan(folder, 1, 20_000))
        yield (folder / RECORD_NAME).read_bytes()
    header = items.header_of(NodeSettings(GENESIS), "0.1")
    frame = items.Frame(bytes(32), 16, bytes(40))
    yield MAGIC + block(header) + block(items.Turn((items.Build(), frame, items.End())))
    node = Ed25519PrivateKey.from_private_bytes(bytes(32))
    yield self_signed(node).public_bytes(Encoding.DER)
    yield json.dumps({"voting_seed": "00" * 32, "vrf_seed": "11" * 32}).encode()
    yield b"__cookie__:0123456789abcdef"
    yield json.dumps({"proof": "00" * 32}).encode()


def proofs(world: World) -> Iterator[bytes]:
    """Proofs of both kinds."""
    node = world.nodes[0].running
    for txid in world.submitted:
        found = (make_entry_proof(node.views, txid), node.finality.proof(txid))
        yield from (encode(proof) for proof in found if proof is not None)


def http() -> Iterator[bytes]:
    """Requests as clients send them, cut at several places."""
    for step, request in enumerate(
        (
            post(PING),
            post(b"[" + PING + b"," + PING + b"]", content_type=b"application/json"),
            post(PING, login=None),
            post(PING, content_encoding=b"gzip"),
            post(b"", transfer_encoding=b"chunked") + b"4\r\nabcd\r\n0\r\n\r\n",
            get(b"/health") + get(b"/metrics"),
            get(b"/../../etc/passwd", b"OPTIONS"),
        )
    ):
        yield bytes([9 * step]) + request


def websocket() -> Iterator[bytes]:
    """Frames of every kind behind an upgrade."""
    asked = b'{"jsonrpc":"2.0","id":1,"method":"subscribe","params":["blocks"]}'
    for head, payload in (
        (0x81, asked),
        (0x82, asked),
        (0x01, asked),
        (0x80, b""),
        (0x88, struct.pack("!H", 1000) + b"bye"),
        (0x89, b"ping"),
        (0x8A, b""),
    ):
        yield b"\x3f" + bytes((head, 0x80 | len(payload))) + bytes(4) + payload


def link() -> Iterator[bytes]:
    """The frames of a link: both sides' first words, and what is said later."""
    hello = session.Hello(CHAIN_ID, PROTOCOL_VERSION, "bob", 24_200, 7, 0, 2)
    said: tuple[tuple[int, Wire], ...] = (
        (session.HELLO, hello),
        (session.PING, session.Ping(1)),
        (session.PONG, session.Pong(1, 1)),
        (session.GOODBYE, session.Goodbye("bye")),
    )
    yield b"".join(encode_frame(kind, encode(message)) for kind, message in said)
    for kind, message in said:
        yield encode_frame(kind, encode(message))
