"""A small network without nodes: keys, payments, certificates and blocks that its members sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from timecoin import params
from timecoin.chain.accept import CheckedBlock
from timecoin.chain.commit import Chain
from timecoin.consensus.sortition import alpha
from timecoin.crypto import vrf
from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import SigningKey, VerifiedCache
from timecoin.crypto.merkle import merkle_root
from timecoin.ledger.block import Block, Resolution
from timecoin.ledger.genesis import Allocation, Genesis, GenesisValidator
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.signing import sign_transaction
from timecoin.ledger.transaction import Outpoint, Transaction, TxInput, TxOutput, split_outpoint
from timecoin.ledger.utxo import Utxo
from timecoin.masternodes.active_set import genesis_set
from timecoin.quorum.bitmap import make_bitmap
from timecoin.quorum.certificate import (
    BatchCertificate,
    BatchVote,
    BlockCertificate,
    BlockSignature,
)
from timecoin.quorum.statement import precommit_statement, vote_statement
from timecoin.store.chainstore import EngineChainStore
from timecoin.store.engine import Engine
from timecoin.store.memory import MemoryEngine
from timecoin.store.schema import claim_store

TIME = params.UNITS_PER_TIME
SLOT_MS = 10_000
START_MS = 1_700_000_000_000
FEE = params.MIN_FEE_UNITS


@dataclass(frozen=True)
class Contents:
    """What a proposer may archive."""

    transactions: tuple[Transaction, ...] = ()
    certificates: tuple[BatchCertificate, ...] = ()
    resolutions: tuple[Resolution, ...] = ()
    avs_changes: tuple[bytes, ...] = ()
    evidence: tuple[bytes, ...] = ()


@dataclass
class Net:
    """Members and owners of one genesis; ``member(i)`` and ``owner(i)`` hold the keys."""

    members: int = 3
    owners: int = 4
    allocation: int = 100 * TIME
    salt: str = ""
    expiry_height: int = 1_000_000
    base_reward: int = TIME
    keys: list[SigningKey] = field(init=False)
    purses: list[SigningKey] = field(init=False)
    genesis: Genesis = field(init=False)

    def __post_init__(self) -> None:
        self.keys = [self._key("member", index) for index in range(self.members)]
        self.purses = [self._key("owner", index) for index in range(self.owners)]
        self.genesis = Genesis(
            version=1,
            network=params.Network.DEVNET,
            time_ms=START_MS,
            slot_ms=SLOT_MS,
            base_reward=self.base_reward,
            validators=tuple(
                GenesisValidator(
                    pubkey=key.public,
                    vrf_pubkey=vrf.vrf_public(key.seed),
                    weight=100,
                    payout_hash=hash160(key.public),
                    expiry_height=self.expiry_height,
                )
                for key in self.keys
            ),
            allocations=tuple(
                Allocation(hash160(purse.public), self.allocation) for purse in self.purses
            ),
        )
        self.verify = VerifiedCache(bytes(32), 10_000).check
        self.by_pubkey = {key.public: key for key in self.keys}
        self.by_hash = {hash160(key.public): key for key in (*self.keys, *self.purses)}

    def _key(self, role: str, index: int) -> SigningKey:
        return SigningKey(f"{self.salt}{role}{index}".encode().ljust(32, b"."))

    def chain(self, engine: Engine | None = None) -> Chain:
        """A chain of this genesis on ``engine``, as a node would open it."""
        engine = engine or MemoryEngine()
        claim_store(engine, self.genesis.hash)
        return Chain(self.genesis, EngineChainStore(engine), self.verify)

    # transactions

    def coins(self, chain: Chain, owner: int) -> list[tuple[Outpoint, Utxo]]:
        """The unspent outputs of an owner, in outpoint order."""
        script = pay_to_pubkey_hash(hash160(self.purses[owner].public))
        return [coin for coin in chain._store.utxos() if coin[1].script == script]

    def pay(
        self,
        coins: Sequence[tuple[Outpoint, Utxo]],
        to: int,
        fee: int = FEE,
        lock_time: int = 0,
        sequence: int = params.SEQUENCE_FINAL,
        change: int = 0,
    ) -> Transaction:
        """A signed payment of all ``coins`` to an owner, ``change`` of it as a second output."""
        script = pay_to_pubkey_hash(hash160(self.purses[to].public))
        total = sum(utxo.value for _, utxo in coins) - fee
        values = [total - change, change] if change else [total]
        unsigned = Transaction(
            version=params.TX_VERSION,
            inputs=tuple(TxInput(*split_outpoint(point), sequence=sequence) for point, _ in coins),
            outputs=tuple(TxOutput(value, script) for value in values),
            lock_time=lock_time,
            witnesses=((),) * len(coins),
        )
        spent = [utxo for _, utxo in coins]
        keys = [self.by_hash[utxo.script[1:]] for utxo in spent]
        return sign_transaction(unsigned, spent, self.genesis.chain_id, keys)

    def certify(
        self,
        transactions: Sequence[Transaction],
        anchor: int = 0,
        voters: int | None = None,
        reject: Sequence[int] = (),
    ) -> BatchCertificate:
        """A batch certificate by the first ``voters`` members, all rejecting leaves ``reject``."""
        leaves = tuple(tx.txid for tx in transactions)
        bitmap = make_bitmap(len(leaves), reject)
        statement = vote_statement(
            self.genesis.chain_id, anchor, merkle_root(leaves), len(leaves), bitmap
        )
        count = self.members if voters is None else voters
        return BatchCertificate(
            anchor=anchor,
            leaves=leaves,
            votes=tuple(
                BatchVote(index, bitmap, self.by_pubkey[pubkey].sign(statement))
                for index, pubkey in enumerate(self.voters[:count])
            ),
        )

    def archive(self, *transactions: Transaction, anchor: int = 0) -> Contents:
        """Contents with all ``transactions`` under one certificate."""
        if not transactions:
            return Contents()
        return Contents(transactions, (self.certify(transactions, anchor),))

    # blocks

    @property
    def voters(self) -> list[bytes]:
        """Voting keys in index order."""
        return sorted(self.by_pubkey)

    def proof(self, chain: Chain, slot: int, member: int) -> bytes:
        """A member's VRF proof for ``slot`` after the tip."""
        return vrf.prove(self.keys[member].seed, alpha(self.genesis.chain_id, chain.tip.seed, slot))

    def make(
        self, chain: Chain, contents: Contents | None = None, member: int = 0, skip: int = 1
    ) -> CheckedBlock:
        """The block that a member assembles ``skip`` slots after the tip."""
        slot = chain.tip.slot + skip
        return chain.assemble(
            contents or Contents(),
            slot,
            0,
            self.keys[member].public,
            self.proof(chain, slot, member),
            slot * SLOT_MS + 500,
        )

    def finalize(
        self, block: Block, voters: int | None = None, round_: int = 0
    ) -> BlockCertificate:
        """The precommit certificate of ``block`` by the first ``voters`` members."""
        statement = precommit_statement(self.genesis.chain_id, block.height, round_, block.hash)
        count = self.members if voters is None else voters
        return BlockCertificate(
            height=block.height,
            round=round_,
            block_hash=block.hash,
            signatures=tuple(
                BlockSignature(index, self.by_pubkey[pubkey].sign(statement))
                for index, pubkey in enumerate(self.voters[:count])
            ),
        )

    def grow(self, chain: Chain, *contents: Contents) -> None:
        """Make and commit one block for each of ``contents``."""
        for item in contents:
            checked = self.make(chain, item)
            chain.commit(checked, self.finalize(checked.block))

    def set_root(self) -> bytes:
        """avs_root of the founding members."""
        return genesis_set(self.genesis).root


def reseal(block: Block, **changes: object) -> Block:
    """``block`` with header fields changed."""
    return Block(msgspec.structs.replace(block.header, **changes), block.body)


def rebody(block: Block, **changes: object) -> Block:
    """``block`` with body fields changed and the header's body and entries roots made to fit."""
    body = msgspec.structs.replace(block.body, **changes)
    header = msgspec.structs.replace(
        block.header, body_root=body.root, entries_root=body.entries_root
    )
    return Block(header, body)
