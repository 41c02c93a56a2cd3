"""History: blocks, the state of the chain, the audit of its coins."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from timecoin.chain.views import ChainViews
from timecoin.ledger.genesis import Genesis
from timecoin.params import Network
from timecoin.rpc.audit import Audit
from timecoin.rpc.blocks import BlockReader, median_time_ms, seconds_json
from timecoin.rpc.condition import Condition
from timecoin.rpc.errors import INVALID_PARAMETER, NOT_FOUND, RpcError
from timecoin.rpc.jsonvalues import amount_json
from timecoin.rpc.method import rpc_method
from timecoin.rpc.ports import FinalityReader
from timecoin.rpc.rendering import Json
from timecoin.rpc.valuetypes import Hash, Height

CONSENSUS = "TSDC: VRF sortition, prepare and precommit by weight"
MECHANISM = "stake-weighted Snowball polls, certificates of votes, receipts"
PROGRESS_DECIMALS = Decimal("0.000001")


class ChainMethods:
    """What the chain holds."""

    def __init__(
        self,
        genesis: Genesis,
        views: ChainViews,
        blocks: BlockReader,
        audit: Audit,
        finality: FinalityReader,
        condition: Condition,
        size_on_disk: Callable[[], int],
    ) -> None:
        self._genesis = genesis
        self._views = views
        self._blocks = blocks
        self._audit = audit
        self._finality = finality
        self._condition = condition
        self._size_on_disk = size_on_disk

    @rpc_method()
    def getblockcount(self) -> int:
        """The height of the newest final block; genesis is 0."""
        return self._views.tip.height

    @rpc_method()
    def getblockhash(self, height: Height) -> str:
        """The hash of the block at a height."""
        found = self._views.block_hash(height)
        if found is None:
            raise RpcError(INVALID_PARAMETER, "Block height out of range")
        return found.hex()

    @rpc_method()
    def getbestblockhash(self) -> str:
        """The hash of the newest final block."""
        return self._views.tip.hash.hex()

    @rpc_method()
    def getblockheader(self, blockhash: Hash, verbose: bool = True) -> str | dict[str, object]:
        """The header of a block, or with verbose false the bytes that its hash covers, in hex."""
        height = self._height(blockhash)
        if not verbose:
            return self._blocks.encoded_header(height).hex()
        return self._blocks.header_summary(height)

    @rpc_method(aliases={"blockhash": "block", "hash": "block", "height": "block"})
    async def getblock(
        self, block: Hash | Height, verbosity: bool | int = 1
    ) -> str | dict[str, object]:
        """A block by hash or height.

        verbosity 0: its canonical bytes in hex; 1: its header, votes, rewards and txids; 2: whole
        transactions. The reward stands first among them. size counts header and body, which names
        transactions by their hashes.
        """
        if not 0 <= verbosity <= 2:
            raise RpcError(INVALID_PARAMETER, "verbosity: out of range 0 to 2")
        height = self._height(block)
        if verbosity == 0:
            return self._blocks.encoded(height).hex()
        return await self._blocks.summary(height, with_transactions=verbosity == 2)

    def _height(self, block: bytes | int) -> int:
        if isinstance(block, bytes):
            height = self._views.height_of(block)
            if height is None:
                raise RpcError(NOT_FOUND, "Block not found")
            return height
        if block > self._views.tip.height:
            raise RpcError(INVALID_PARAMETER, "Block height out of range")
        return block

    @rpc_method()
    def getblockchaininfo(self) -> Json:
        """The state of the chain and of finality as this node sees it.

        p50_ms and p95_ms are measured here, from first sight of a transaction to final, over the
        last 1,000; null before the first. history: from which block on every block is here, from
        which on what it spent is known too (and addresses have their history), and the share of all
        blocks; after a fast start both go down to 1.
        """
        tip, finality = self._views.tip, self._finality.statistics()
        best = self._condition.best_height
        progress = Decimal(tip.height) / best if best else Decimal(1)
        first = self._views.first_body
        here = Decimal(tip.height - first + 1) / tip.height if tip.height else Decimal(1)
        return {
            "chain": Network(self._genesis.network).label,
            "blocks": tip.height,
            "headers": best,
            "bestblockhash": tip.hash.hex(),
            "genesishash": self._genesis.hash.hex(),
            "slot": tip.slot,
            "time": tip.timestamp_ms // 1000,
            "mediantime": median_time_ms(self._genesis, self._views, tip.height) // 1000,
            "verificationprogress": progress.quantize(PROGRESS_DECIMALS),
            "initialblockdownload": self._condition.catching_up,
            "size_on_disk": self._size_on_disk(),
            "pruned": first > 1,
            **({"pruneheight": first} if first > 1 else {}),
            "history": {
                "first_block": first,
                "first_indexed": self._views.first_undo,
                "share": here.quantize(PROGRESS_DECIMALS),
            },
            "supply": amount_json(self._views.supply_units),
            "consensus": CONSENSUS,
            "finality": {
                "mechanism": MECHANISM,
                "p50_ms": finality.p50_ms,
                "p95_ms": finality.p95_ms,
                "measured": len(self._finality.latencies_ms),
            },
            "block_time_seconds": seconds_json(self._genesis.slot_ms),
            "warnings": self._condition.warnings(),
        }

    @rpc_method()
    async def gettxoutsetinfo(self) -> Json:
        """Walk the set of unspent outputs: its count, sum and root, beside what the chain says.

        matches_supply is true when the sum is the supply and the root is the tip's.
        """
        audit = await self._audit.run()
        return {
            "height": audit.height,
            "bestblock": audit.block_hash.hex(),
            "txouts": audit.outputs,
            "total_amount": amount_json(audit.total_units),
            "supply": amount_json(audit.supply_units),
            "utxo_root": audit.utxo_root.hex(),
            "matches_supply": audit.sound,
        }
