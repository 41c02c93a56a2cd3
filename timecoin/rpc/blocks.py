"""How blocks look as JSON: Bitcoin Core's names, and what this chain has besides."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from twisted.internet.interfaces import IReactorTime

from timecoin import params
from timecoin.chain.views import ChainViews
from timecoin.codec import decode, encode
from timecoin.crypto.address import encode_address
from timecoin.ledger.block import Block, Header
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.rewards import block_reward
from timecoin.ledger.transaction import Outpoint, TxOutput
from timecoin.params import Network
from timecoin.quorum.certificate import BatchCertificate
from timecoin.quorum.tally import quorum_weight, weight_of
from timecoin.rpc.errors import MISC_ERROR, RpcError
from timecoin.rpc.jsonvalues import amount_json
from timecoin.rpc.lookup import Lookup
from timecoin.rpc.rendering import Json, script_address, transaction_json
from timecoin.rpc.turns import in_turns
from timecoin.rpc.weights import block_signers

MEDIAN_BLOCKS = 11
"""``mediantime`` is over so many blocks, as in Bitcoin."""


def seconds_json(milliseconds: int) -> int | Decimal:
    """``milliseconds`` as a number of seconds, exact."""
    whole, rest = divmod(milliseconds, 1000)
    return whole if rest == 0 else Decimal(milliseconds) / 1000


def median_time_ms(genesis: Genesis, views: ChainViews, height: int) -> int:
    """Median timestamp of the eleven blocks up to ``height``, Unix milliseconds."""
    times = []
    for number in range(max(0, height - MEDIAN_BLOCKS + 1), height + 1):
        header = views.header(number)
        times.append(genesis.time_ms if header is None else header.timestamp_ms)
    return sorted(times)[len(times) // 2]


class BlockReader:
    """Renders accepted blocks; heights must not be above the tip."""

    def __init__(
        self, genesis: Genesis, views: ChainViews, lookup: Lookup, clock: IReactorTime
    ) -> None:
        self._genesis = genesis
        self._network = Network(genesis.network)
        self._views = views
        self._lookup = lookup
        self._clock = clock

    def encoded(self, height: int) -> bytes:
        """Canonical bytes of the block; of genesis those that its hash covers."""
        return encode(self._genesis if height == 0 else self._whole(height))

    def encoded_header(self, height: int) -> bytes:
        """Canonical bytes that the block's hash covers."""
        header = self._views.header(height)
        return encode(self._genesis if header is None else header)

    def header_summary(self, height: int) -> Json:
        """The block without its transactions, votes and rewards."""
        header = self._views.header(height)
        if header is None:
            shown = self._genesis_json()
            return {name: shown[name] for name in _HEADER_OF_GENESIS if name in shown}
        block = self._views.block(height)
        return {
            **self._links_json(height, header.hash),
            **_header_json(header),
            "mediantime": median_time_ms(self._genesis, self._views, height) // 1000,
            **({} if block is None else {"nTx": 1 + len(block.body.entries)}),
        }

    def _whole(self, height: int) -> Block:
        """The block at ``height`` above 0; Bitcoin Core's error when its body is not kept."""
        block = self._views.block(height)
        if block is None:
            raise RpcError(MISC_ERROR, "Block not available (pruned data)")
        return block

    async def summary(self, height: int, with_transactions: bool) -> Json:
        """All that is known of the block; its transactions by txid or whole."""
        if height == 0:
            return self._genesis_json()
        block = self._whole(height)
        shown = {
            **self._links_json(height, block.hash),
            **_header_json(block.header),
            "mediantime": median_time_ms(self._genesis, self._views, height) // 1000,
            "size": len(encode(block)),
            "nTx": 1 + len(block.body.entries),
            **self._votes_json(height),
            **self._reward_json(block),
            "entries": [
                {"txid": entry.txid.hex(), "wtxid": entry.wtxid.hex()}
                for entry in block.body.entries
            ],
            "certificates": [_certificate_json(data) for data in block.body.certificates],
            "resolutions": [
                {
                    "winner": item.winner.hex(),
                    "outpoint": item.outpoint.hex(),
                    "loser": item.loser.txid.hex(),
                }
                for item in block.body.resolutions
            ],
            "avs_changes": [change.hex() for change in block.body.avs_changes],
            "evidence": [proof.hex() for proof in block.body.evidence],
        }
        txids = (block.body.reward.txid, *(entry.txid for entry in block.body.entries))
        if with_transactions:
            shown["tx"] = await self._transactions_json(height, txids)
        else:
            shown["tx"] = [txid.hex() for txid in txids]
        return shown

    async def _transactions_json(self, height: int, txids: Sequence[bytes]) -> list[Json]:
        """Whole transactions; what they spend is read once, from the block's undo data."""
        undo = self._views.undo(height)
        spent: dict[Outpoint, TxOutput] = {}
        if undo is not None:
            spent = {point: TxOutput(utxo.value, utxo.script) for point, utxo in undo.spent}

        def find_output(point: Outpoint) -> TxOutput | None:
            return spent.get(point) or self._lookup.output(point)

        found = []
        async for txid in in_turns(self._clock, txids):
            archived = self._views.transaction(txid)
            assert archived is not None  # the chain stores a block with its bodies
            found.append(transaction_json(archived.tx, self._network, find_output))
        return found

    def _links_json(self, height: int, block_hash: bytes) -> Json:
        shown: Json = {
            "hash": block_hash.hex(),
            "confirmations": self._lookup.confirmations(height),
            "height": height,
        }
        for name, neighbour in (("previousblockhash", height - 1), ("nextblockhash", height + 1)):
            found = None if neighbour < 0 else self._views.block_hash(neighbour)
            if found is not None:
                shown[name] = found.hex()
        return shown

    def _votes_json(self, height: int) -> Json:
        """Who signed, by the weights of avs(height - 1)."""
        certificate, members = self._views.certificate(height), self._views.active_set(height - 1)
        assert certificate is not None and members is not None  # kept with every block
        signers = block_signers(self._views, height)
        return {
            "commit_round": certificate.round,
            "signers": [signer.hex() for signer in signers],
            "signed_weight": weight_of(signers, members),
            "quorum_weight": quorum_weight(members.total_weight),
        }

    def _reward_json(self, block: Block) -> Json:
        members = self._views.active_set(block.height - 1)
        assert members is not None
        reward = block_reward(self._genesis.base_reward, len(members.staked))
        outputs = block.body.reward.outputs
        return {
            "reward": amount_json(reward),
            "fees": amount_json(sum(output.value for output in outputs) - reward),
            "payouts": [
                {
                    "address": script_address(self._network, output.lock_script),
                    "amount": amount_json(output.value),
                }
                for output in outputs
            ],
        }

    def _genesis_json(self) -> Json:
        """Block 0 has no header, votes or reward: it is the genesis file."""
        genesis = self._genesis
        slot = genesis.slot_at(genesis.time_ms)
        return {
            **self._links_json(0, genesis.hash),
            "version": genesis.version,
            "time": genesis.time_ms // 1000,
            "timestamp_ms": genesis.time_ms,
            "mediantime": genesis.time_ms // 1000,
            "slot": slot,
            "slot_time": slot * genesis.slot_ms,
            "size": len(encode(genesis)),
            "nTx": 0,
            "producer": None,
            "round": None,
            "vrf_proof": None,
            "signers": [],
            "signed_weight": 0,
            "quorum_weight": 0,
            "reward": amount_json(0),
            "fees": amount_json(0),
            "payouts": [],
            "allocations": [
                {
                    "address": encode_address(self._network, item.pubkey_hash),
                    "amount": amount_json(item.value),
                }
                for item in genesis.allocations
            ],
            "entries": [],
            "certificates": [],
            "resolutions": [],
            "avs_changes": [],
            "evidence": [],
            "tx": [],
        }


_HEADER_OF_GENESIS = (
    "hash",
    "confirmations",
    "height",
    "nextblockhash",
    "version",
    "time",
    "timestamp_ms",
    "mediantime",
    "slot",
    "slot_time",
    "producer",
    "round",
    "vrf_proof",
    "nTx",
)


def _header_json(header: Header) -> Json:
    return {
        "version": header.version,
        "merkleroot": header.entries_root.hex(),
        "time": header.timestamp_ms // 1000,
        "timestamp_ms": header.timestamp_ms,
        "slot": header.slot,
        "slot_time": header.slot_time,
        "producer": header.producer.hex(),
        "round": header.round,
        "vrf_proof": header.vrf_proof.hex(),
        "seed": header.seed.hex(),
        "avs_root": header.avs_root.hex(),
        "utxo_root": header.utxo_root.hex(),
        "body_root": header.body_root.hex(),
    }


def _certificate_json(data: bytes) -> Json:
    certificate = decode(data, BatchCertificate, params.MAX_BLOCK_BYTES)
    return {
        "anchor": certificate.anchor,
        "root": certificate.root.hex(),
        "leaf_count": certificate.leaf_count,
        "votes": len(certificate.votes),
    }
