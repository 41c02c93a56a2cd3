"""Targets that read what rests on disk: rows of the store, keys, wallets, certificates, proofs."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from OpenSSL.crypto import FILETYPE_ASN1, load_certificate
from OpenSSL.crypto import Error as OpenSSLError

from timecoin.chain.entryproof import EntryProof
from timecoin.cli.devnet.record import RECORD_NAME, DevnetError, read_records
from timecoin.cli.proof import check, decode, read_proof
from timecoin.cli.rpc.connection import read_cookie
from timecoin.cli.rpc.failures import CannotConnect
from timecoin.codec import CodecError
from timecoin.consensus.journal import JournalError, read_rows
from timecoin.finality.proof import FinalityProof
from timecoin.finality.restore import Rows
from timecoin.masternodes.history import read_row
from timecoin.node.keyfiles import KeyFileError, load_validator_keys
from timecoin.node.recording.file import RecordingError, RecordingReader
from timecoin.p2p.memory import Memory
from timecoin.p2p.tls import _node_key
from timecoin.rpc.tls import TlsError, TlsFiles, tls_options
from timecoin.sim.world import World, WorldSettings
from timecoin.store.keys import JOURNAL
from timecoin.wallet.walletfile import decode_wallet, encode_wallet

KEYS = b"vspqbxn"
"""First letters of keys that rows of the journal and of the address book have."""
GENESIS = World(1, WorldSettings(nodes=4)).genesis
"""That of the run from which the corpus comes."""


class OneRow:
    """A table with one row, for those that read tables."""

    def __init__(self, key: bytes, value: bytes) -> None:
        self._row = (key, value)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """See ``PeerRows``."""
        return iter([self._row])

    def write(self, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        """See ``PeerRows``; nobody reads it again."""


def fuzz_rows(data: bytes) -> None:
    """A row of any table that machines read at the start: read, or refused as not ours."""
    if len(data) < 3:
        return
    table = JOURNAL[data[0] % len(JOURNAL)]
    end = 3 + data[2] % 64
    key, value = bytes([KEYS[data[1] % len(KEYS)]]) + data[3:end], data[end:]
    with contextlib.suppress(JournalError):
        read_rows([(table, key, value)])
    with contextlib.suppress(CodecError):
        Rows.read(((table, key, value),))
    with contextlib.suppress(CodecError):
        read_row(value)
    memory = Memory(OneRow(key, value), lambda count: bytes(count))
    memory.write()


def fuzz_files(data: bytes) -> None:
    """Files that users keep: each is read, or refused as its reader declares."""
    with contextlib.suppress(CodecError):
        assert encode_wallet(decode_wallet(data)) == data, "a wallet with two encodings"
    with contextlib.suppress(RecordingError):
        list(RecordingReader(io.BytesIO(data)).turns())
    with contextlib.suppress(OpenSSLError):
        _node_key(load_certificate(FILETYPE_ASN1, data))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / RECORD_NAME
        path.write_bytes(data)
        path.chmod(0o600)
        readers: tuple[tuple[Callable[[], object], type[Exception]], ...] = (
            (lambda: load_validator_keys(path), KeyFileError),
            (lambda: read_records(path.parent), DevnetError),
            (lambda: read_cookie(path), CannotConnect),
            (lambda: tls_options(TlsFiles(path, path)), TlsError),
            (lambda: read_proof(path), ValueError),
        )
        for read, refusal in readers:
            with contextlib.suppress(refusal):
                read()


def fuzz_proofs(data: bytes) -> None:
    """A proof of finality from a stranger: it has a verdict."""
    with contextlib.suppress(ValueError):
        found: EntryProof | FinalityProof = decode(data)
        verdict = check(found, GENESIS)
        assert verdict["valid"] == (verdict["reason"] is None), "no verdict"
