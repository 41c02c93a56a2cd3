"""``timecoin-cli proof``: proofs of finality, checked here without any node (PROTOCOL 10)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from timecoin.chain.entryproof import (
    MAX_ENTRY_PROOF_BYTES,
    EntryProof,
    decode_entry_proof,
    verify_entry_proof,
)
from timecoin.cli.rpc.command import apply_output, output_options
from timecoin.cli.rpc.session import Session, pass_session
from timecoin.codec import CodecError
from timecoin.crypto.keys import verify as verify_signature
from timecoin.finality.proof import FinalityProof, decode_proof, verify_proof
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.transaction import Transaction
from timecoin.masternodes.active_set import ActiveSet, genesis_set
from timecoin.node.config import GENESIS_NAME
from timecoin.node.genesisfile import GenesisFileError, read_genesis
from timecoin.params import Network
from timecoin.quorum.certificate import CertificateError
from timecoin.quorum.snapshots import block_snapshots, certificate_snapshots, receipt_snapshots
from timecoin.rpc.jsonvalues import amount_json, loads
from timecoin.rpc.rendering import script_address

MAX_FILE_BYTES = 8 * MAX_ENTRY_PROOF_BYTES
"""Hex, and beside it the object that spells the same out."""


@dataclass(frozen=True, slots=True)
class GenesisSnapshots:
    """The active set at every height: that of the genesis file, while no rule changes it."""

    members: ActiveSet

    def active_set(self, height: int) -> ActiveSet | None:
        """The same for all heights."""
        return self.members


@click.group()
def proof() -> None:
    """Proofs that a transaction is final."""


@proof.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--genesis",
    "genesis_path",
    type=click.Path(path_type=Path),
    help="Genesis file of the network [DATADIR/genesis.json].",
)
@pass_session
def verify(
    session: Session, /, file: Path, genesis_path: Path | None, **output: bool | None
) -> None:
    """Check the proof in FILE without a node; exit status 1 if it does not hold.

    FILE (- for standard input) holds what getfinalityproof answers, or its hex alone. What is
    trusted is the genesis file: it names the members whose signatures count.
    """
    apply_output(session, output)
    path = genesis_path or session.connection.config.datadir / GENESIS_NAME
    try:
        genesis = read_genesis(path).genesis
        found = decode(read_proof(file))
    except (GenesisFileError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    shown = check(found, genesis)
    session.screen.show(shown)
    if not shown["valid"]:
        raise click.exceptions.Exit(1)


verify.params += output_options()


def read_proof(path: Path) -> bytes:
    """The proof's bytes in ``path``; ``ValueError`` if there are none."""
    try:
        with click.open_file(str(path), "rb") as file:
            raw: bytes = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    if len(raw) > MAX_FILE_BYTES:
        raise ValueError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
    text: object = raw.decode("ascii", "replace").strip()
    if raw.lstrip()[:1] in (b"{", b'"'):
        text = loads(raw)
    if isinstance(text, dict):
        text = text.get("proof")
    if not isinstance(text, str):
        raise ValueError(f"{path} holds no proof: neither hex nor an object with a member proof")
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise ValueError(f"{path} holds no proof: not hex") from error


def decode(data: bytes) -> EntryProof | FinalityProof:
    """The proof that ``data`` encodes, of either kind; ``ValueError``."""
    try:
        return decode_entry_proof(data)
    except CodecError:
        try:
            return decode_proof(data)
        except CodecError as error:
            raise ValueError(f"not a proof: {error}") from error


def check(found: EntryProof | FinalityProof, genesis: Genesis) -> dict[str, Any]:
    """What the proof says, and whether it holds against ``genesis``."""
    tx, snapshots = found.transaction, GenesisSnapshots(genesis_set(genesis))
    shown: dict[str, Any] = {"valid": False, "reason": None, "txid": tx.txid.hex()}
    try:
        if isinstance(found, EntryProof):
            shown |= {"type": "entry", "height": found.header.height}
            shown |= _check_entry(found, snapshots, genesis.chain_id)
        else:
            shown |= {"type": "certificate", "height": found.anchor}
            shown |= _check_certificate(found, snapshots, genesis.chain_id)
    except CertificateError as error:
        return shown | {"reason": str(error)}
    return shown | {"valid": True, "outputs": _outputs(tx, Network(genesis.network))}


def _check_entry(
    found: EntryProof, snapshots: GenesisSnapshots, chain_id: bytes
) -> dict[str, object]:
    voters = block_snapshots(snapshots, found.header.height) or ()
    if not voters:
        raise CertificateError("genesis has no entries")
    proved = verify_entry_proof(found, voters, chain_id, verify_signature)
    return {"weight": proved.weight, "quorum": proved.quorum}


def _check_certificate(
    found: FinalityProof, snapshots: GenesisSnapshots, chain_id: bytes
) -> dict[str, object]:
    voters = certificate_snapshots(snapshots, found.anchor) or ()
    holders = receipt_snapshots(snapshots, found.tip) or ()
    proved = verify_proof(found, voters, holders, chain_id, verify_signature)
    return {
        "weight": proved.vote_weight,
        "quorum": proved.vote_quorum,
        "receipts_weight": proved.receipt_weight,
        "receipts_quorum": proved.receipt_quorum,
    }


def _outputs(tx: Transaction, network: Network) -> list[dict[str, object]]:
    """Whom the proved transaction pays."""
    return [
        {
            "n": index,
            "address": script_address(network, output.lock_script),
            "amount": amount_json(output.value),
        }
        for index, output in enumerate(tx.outputs)
    ]
