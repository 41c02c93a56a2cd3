"""A network whose active set changes: stakes, joins and leaves, and quorums of whoever counts."""

from __future__ import annotations

from collections.abc import Sequence

from tests.chain.net import SLOT_MS, TIME, Contents, Net
from timecoin import params
from timecoin.chain.accept import CheckedBlock
from timecoin.chain.commit import Chain
from timecoin.codec import encode
from timecoin.crypto import vrf
from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import SigningKey
from timecoin.crypto.merkle import merkle_root
from timecoin.ledger.block import Block
from timecoin.ledger.script import pay_to_pubkey_hash, stake
from timecoin.ledger.signing import sign_transaction
from timecoin.ledger.transaction import (
    Outpoint,
    Transaction,
    TxInput,
    TxOutput,
    outpoint,
    split_outpoint,
)
from timecoin.masternodes.active_set import ActiveSet
from timecoin.masternodes.changes import Join, Leave, sign_join, sign_leave
from timecoin.masternodes.heartbeat import (
    Attested,
    Heartbeat,
    heartbeat_hash,
    needed_for,
    sign_attestation,
    sign_heartbeat,
    witnesses,
)
from timecoin.quorum.bitmap import make_bitmap
from timecoin.quorum.certificate import (
    BatchCertificate,
    BatchVote,
    BlockCertificate,
    BlockSignature,
)
from timecoin.quorum.snapshots import block_snapshots, certificate_snapshots, voter_index
from timecoin.quorum.statement import precommit_statement, vote_statement

FEE_UNITS = 2 * params.MIN_FEE_UNITS


class StakedNet(Net):
    """:class:`Net` with masternodes: number ``i`` is owned by owner ``i``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.masternodes = [self._key("masternode", index) for index in range(self.owners)]
        self.by_pubkey |= {key.public: key for key in self.masternodes}

    # quorums of any snapshots

    def votes_for(self, chain: Chain, block: Block) -> BlockCertificate:
        """The precommit certificate of ``block`` by all whose votes are demanded."""
        snapshots = block_snapshots(chain, block.height)
        assert snapshots is not None
        statement = precommit_statement(self.genesis.chain_id, block.height, 0, block.hash)
        signatures = tuple(
            BlockSignature(index, self.by_pubkey[pubkey].sign(statement))
            for index, pubkey in enumerate(voter_index(snapshots))
        )
        return BlockCertificate(block.height, 0, block.hash, signatures)

    def certified(self, chain: Chain, *txs: Transaction, anchor: int | None = None) -> Contents:
        """Contents with ``txs`` under one certificate by all who count at ``anchor``."""
        anchor = chain.tip_height if anchor is None else anchor
        snapshots = certificate_snapshots(chain, anchor)
        assert snapshots is not None
        leaves = tuple(tx.txid for tx in txs)
        bitmap = make_bitmap(len(leaves), ())
        statement = vote_statement(
            self.genesis.chain_id, anchor, merkle_root(leaves), len(leaves), bitmap
        )
        votes = tuple(
            BatchVote(index, bitmap, self.by_pubkey[pubkey].sign(statement))
            for index, pubkey in enumerate(voter_index(snapshots))
        )
        return Contents(txs, (BatchCertificate(anchor, leaves, votes),))

    def extend(self, chain: Chain, contents: Contents | None = None) -> CheckedBlock:
        """Make and commit one block."""
        checked = self.make(chain, contents or Contents())
        chain.commit(checked, self.votes_for(chain, checked.block))
        return checked

    def wait(self, chain: Chain, blocks: int) -> None:
        """That many empty blocks."""
        for _ in range(blocks):
            self.extend(chain)

    def active(self, chain: Chain) -> ActiveSet:
        """The newest snapshot."""
        found = chain.active_set(chain.tip_height)
        assert found is not None
        return found

    # stakes

    def stake_tx(
        self,
        chain: Chain,
        number: int,
        units: int = 1_000 * TIME,
        *,
        voting: SigningKey | None = None,
        vrf_seed: bytes | None = None,
        unlock_height: int = 0,
    ) -> Transaction:
        """Owner ``number`` stakes ``units`` for its masternode, or another voting key."""
        key = voting or self.masternodes[number]
        owner = self.purses[number]
        point, coin = self.coins(chain, number)[0]
        script = stake(
            key.public,
            vrf.vrf_public(vrf_seed or key.seed),
            hash160(owner.public),
            payout_hash(number),
            unlock_height,
        )
        change = coin.value - units - FEE_UNITS
        outputs = (
            TxOutput(units, script),
            TxOutput(change, pay_to_pubkey_hash(hash160(owner.public))),
        )
        unsigned = Transaction(
            params.TX_VERSION,
            (TxInput(*split_outpoint(point), sequence=params.SEQUENCE_FINAL),),
            outputs,
            0,
            ((),),
        )
        return sign_transaction(unsigned, [coin], self.genesis.chain_id, [owner])

    def unstake_tx(self, chain: Chain, number: int, point: Outpoint) -> Transaction:
        """Owner ``number`` takes its stake back."""
        coin = chain.utxo(point)
        assert coin is not None
        owner = self.purses[number]
        output = TxOutput(coin.value - FEE_UNITS, pay_to_pubkey_hash(hash160(owner.public)))
        place = TxInput(*split_outpoint(point), sequence=params.SEQUENCE_FINAL)
        unsigned = Transaction(params.TX_VERSION, (place,), (output,), 0, ((),))
        return sign_transaction(unsigned, [coin], self.genesis.chain_id, [owner])

    def register(self, chain: Chain, number: int, units: int = 1_000 * TIME) -> Outpoint:
        """Archive a stake of owner ``number``; its outpoint."""
        tx = self.stake_tx(chain, number, units)
        self.extend(chain, self.certified(chain, tx))
        return outpoint(tx.txid, 0)

    # heartbeats and changes

    def heartbeat(
        self, chain: Chain, key: SigningKey, *, age_ms: int = 1_000, height: int | None = None
    ) -> Heartbeat:
        """A heartbeat of ``key`` that many milliseconds before the next slot."""
        height = chain.tip_height if height is None else height
        tip_hash = chain.block_hash(height)
        assert tip_hash is not None
        timestamp_ms = (chain.tip.slot + 1) * SLOT_MS - age_ms
        return sign_heartbeat(key, self.genesis.chain_id, 1, height, tip_hash, timestamp_ms)

    def attest(self, chain: Chain, heartbeat: Heartbeat, count: int | None = None) -> Attested:
        """``heartbeat`` with as many attestations as it needs, or ``count``."""
        snapshot = chain.active_set(heartbeat.tip_height)
        assert snapshot is not None
        hash_ = heartbeat_hash(self.genesis.chain_id, heartbeat)
        count = needed_for(heartbeat.pubkey, snapshot) if count is None else count
        drawn = sorted(witnesses(hash_, heartbeat.pubkey, snapshot)[:count])
        return Attested(
            heartbeat,
            tuple(
                sign_attestation(self.by_pubkey[pubkey], self.genesis.chain_id, hash_)
                for pubkey in drawn
            ),
        )

    def join(self, chain: Chain, number: int, point: Outpoint) -> Join:
        """The join of masternode ``number`` by its stake, for the next block."""
        key = self.masternodes[number]
        attested = self.attest(chain, self.heartbeat(chain, key))
        return sign_join(key, self.genesis.chain_id, attested, stake=point, vrf_seed=key.seed)

    def leave(self, chain: Chain, number: int, signer: SigningKey | None = None) -> Leave:
        """The leave of masternode ``number``, signed by its voting key or ``signer``."""
        key = self.masternodes[number]
        joined = self.active(chain).by_pubkey[key.public].joined_height
        return sign_leave(signer or key, self.genesis.chain_id, key.public, joined)

    def enter(self, chain: Chain, number: int, units: int = 1_000 * TIME) -> Outpoint:
        """Masternode ``number`` stakes and joins, in two blocks; the outpoint of its stake."""
        point = self.register(chain, number, units)
        self.extend(chain, changes(self.join(chain, number, point)))
        return point


def payout_hash(number: int) -> bytes:
    """Where the rewards of masternode ``number`` go."""
    return hash160(b"payout %d" % number)


def changes(*found: Join | Leave | object, evidence: Sequence[bytes] = ()) -> Contents:
    """Contents of changes alone."""
    return Contents(avs_changes=tuple(encode(item) for item in found), evidence=tuple(evidence))
