"""Stakes: a masternode registered, and its collateral taken back (PROTOCOL 4).

Three keys are three things: the voting key runs the masternode, the owner's key spends the stake,
the payout address gets the rewards. The owner's key may be one that no node ever sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from timecoin.crypto.address import encode_address
from timecoin.ledger.connect import Coin
from timecoin.ledger.script import Stake, parse_script, pay_to_pubkey_hash, stake
from timecoin.ledger.transaction import Outpoint, TxOutput, outpoint, split_outpoint
from timecoin.ledger.utxo import Utxo
from timecoin.masternodes.active_set import COLLATERAL_UNITS, Tier
from timecoin.mempool.entry import Admission
from timecoin.rpc.addressreader import AddressReader
from timecoin.rpc.errors import INVALID_PARAMETER, NOT_FOUND, RpcError
from timecoin.rpc.feerate import FeeRate
from timecoin.rpc.jsonvalues import amount_json
from timecoin.rpc.method import rpc_method
from timecoin.rpc.methods.network import OwnIdentity
from timecoin.rpc.ports import MasternodeDesk
from timecoin.rpc.purse import Purse, wallet_errors
from timecoin.rpc.refusal import refusal
from timecoin.rpc.rendering import Json
from timecoin.rpc.valuetypes import AddressText, Hash, Height, Hex, Integer, Text
from timecoin.wallet.build import Payment, build_payment, build_release
from timecoin.wallet.coins import Standing

TIERS = {tier.name.lower(): tier for tier in COLLATERAL_UNITS}

FREE = Tier.FREE.name.lower()
GENESIS = Tier.GENESIS.name.lower()

TierText = Annotated[str, Text(choices=(*TIERS, FREE, GENESIS), label="tier")]
OutpointText = Annotated[str, Text(max_chars=75, label="TXID:VOUT")]

FROZEN = "stake-frozen"
"""The rule by which a stake is refused whose masternode has not let go."""

_TXID = Hex(32, 32, label="hash")
_INDEX = Integer(0, 2**32 - 1, label="index")


@dataclass(frozen=True, slots=True)
class _Keys:
    """Who votes with a stake."""

    voting: bytes
    vrf: bytes


class StakingMethods:
    """Registers and unregisters masternodes, this node's own or others'."""

    def __init__(
        self,
        purse: Purse,
        addresses: AddressReader,
        identity: OwnIdentity,
        fee_rate: FeeRate,
        desk: MasternodeDesk,
    ) -> None:
        self._purse = purse
        self._addresses = addresses
        self._identity = identity
        self._fee_rate = fee_rate
        self._desk = desk

    @rpc_method()
    async def masternoderegister(
        self,
        tier: TierText,
        payout: AddressText | None = None,
        *,
        owner: AddressText | None = None,
        pubkey: Hash | None = None,
        vrf_pubkey: Hash | None = None,
        unlock_height: Height = 0,
        fund: AddressText | None = None,
    ) -> Json:
        """Stake the collateral of a tier (bronze 1,000, silver 10,000, gold 100,000 TIME).

        The masternode is this node, or the one whose masternodestatus shows pubkey and vrf_pubkey.
        payout gets its rewards, owner can take the stake back from unlock_height on; both are
        fresh addresses of the wallet unless told. fund: nothing is sent; from the coins of this
        address an unsigned transaction is made, hex with its prevtxs, to be signed by
        signrawtransactionwithwallet where the key is and sent by sendrawtransaction. The
        masternode joins once the stake is in a block. A second stake changes the tier: the
        masternode moves to it, masternodeunstake returns the first. A genesis validator keeps its
        own weight, if that is more, until it expires; the tier genesis takes no stake and brings
        one back that has left. The tier free takes no stake either, and nothing but payout: this
        node joins while there are fewer Free members than staked ones, relays, and earns a little;
        it has no vote and cannot propose. Errors: -5 address, -6 funds, -8 this node is no
        masternode, -13 passphrase needed, -28 catching up.
        """
        if tier == GENESIS:
            return self._come_back()
        if tier == FREE:
            if unlock_height or any((owner, pubkey, vrf_pubkey, fund)):
                raise RpcError(INVALID_PARAMETER, "the tier free takes nothing but payout")
            return self._join_free(payout)
        keys = self._keys(pubkey, vrf_pubkey)
        owner_hash = self._hash(owner, "stake owner")
        payout_hash = self._hash(payout, "masternode payout")
        script = stake(keys.voting, keys.vrf, owner_hash, payout_hash, unlock_height)
        output = TxOutput(COLLATERAL_UNITS[TIERS[tier]], script)
        rate = self._fee_rate.units_per_byte()
        if fund is None:
            tx = self._purse.pay(
                lambda: self._purse.wallet.send([output], (), rate), lambda made: made
            )
            shown: Json = {"txid": tx.txid.hex()}
        else:
            prepared = await self._funded(output, fund, rate)
            tx, shown = prepared.tx, _prepared_json(prepared)
        if keys.voting == self._identity.voting_pubkey:
            self._desk.join_with(outpoint(tx.txid, 0), TIERS[tier])
        network = self._purse.network
        return {
            **shown,
            "outpoint": f"{tx.txid.hex()}:0",
            "tier": tier,
            "collateral": amount_json(output.value),
            "pubkey": keys.voting.hex(),
            "owner_address": encode_address(network, owner_hash),
            "payout_address": encode_address(network, payout_hash),
        }

    @rpc_method()
    def masternodeunstake(
        self, outpoint: OutpointText | None = None, *, to: AddressText | None = None
    ) -> Json:
        """Let the masternode of a stake leave, and take the stake back when it may be spent.

        That is 8 blocks after the masternode has left the active set, not before the stake's
        unlock_height, and not while it is jailed. status is sent when the transaction txid is on
        its way, waiting when this node sends it as soon as it is allowed, also after a restart. to:
        for an owner whose key is elsewhere; the masternode leaves (if it is this node), and hex
        with its prevtxs returns the stake to that address, to be signed where the key is and sent
        then. Without an outpoint this node's own masternode leaves and nothing is spent: status is
        leaving; masternoderegister brings it back, with tier genesis if it was a founding one, or
        with tier free.
        Errors: -4 the owner's key is not the wallet's, -5 no such stake, -8 this node is no member,
        -13 passphrase needed.
        """
        if outpoint is None:
            self._leave_alone()
            return {"txid": None, "outpoint": None, "status": "leaving"}
        point = _point(outpoint)
        utxo, script = self._stake(point)
        rate = self._fee_rate.units_per_byte()
        if to is not None:
            with wallet_errors():
                made = build_release((point, utxo), self._purse.script(to), rate)
            self._leave(point, script)
            return {**_prepared_json(made), "outpoint": outpoint, "status": "prepared"}
        with wallet_errors():
            tx = self._purse.wallet.unstake(point, rate)
        self._leave(point, script)
        verdict = self._purse.offer(tx)
        sent = verdict.admission in (Admission.ACCEPTED, Admission.KNOWN)
        if not sent and verdict.rule != FROZEN:
            raise refusal(verdict)
        return {
            "txid": tx.txid.hex(),
            "outpoint": outpoint,
            "amount": amount_json(tx.outputs[0].value),
            "fee": amount_json(utxo.value - tx.outputs[0].value),
            "status": "sent" if sent else "waiting",
        }

    def _leave_alone(self) -> None:
        """This node's own masternode leaves, whatever stands behind it."""
        member = self._desk.own_member()
        leave = None
        if member is not None:
            leave = self._desk.sign_leave(member.pubkey, member.joined_height)
        if leave is None:
            raise RpcError(INVALID_PARAMETER, "this node is no member of the active set")
        self._desk.leave(leave)

    def _come_back(self) -> Json:
        """This node's own masternode joins again by its line in the genesis file."""
        keys = self._keys(None, None)
        self._desk.join_with(b"", Tier.GENESIS)
        return {"txid": None, "outpoint": None, "tier": GENESIS, "pubkey": keys.voting.hex()}

    def _join_free(self, payout: str | None) -> Json:
        """This node's own masternode joins without a stake, unless it has one that counts."""
        keys = self._keys(None, None)
        member = self._desk.own_member()
        if member is not None and member.staked:
            tier = Tier(member.tier).name.lower()
            raise RpcError(INVALID_PARAMETER, f"it is {tier} already: masternodeunstake first")
        payout_hash = self._hash(payout, "masternode payout")
        self._desk.join_free(payout_hash)
        return {
            "txid": None,
            "outpoint": None,
            "tier": FREE,
            "collateral": amount_json(0),
            "pubkey": keys.voting.hex(),
            "payout_address": encode_address(self._purse.network, payout_hash),
        }

    def _keys(self, pubkey: bytes | None, vrf_pubkey: bytes | None) -> _Keys:
        if (pubkey is None) != (vrf_pubkey is None):
            raise RpcError(INVALID_PARAMETER, "pubkey and vrf_pubkey need each other")
        if pubkey is not None and vrf_pubkey is not None:
            return _Keys(pubkey, vrf_pubkey)
        own, own_vrf = self._identity.voting_pubkey, self._identity.vrf_pubkey
        if own is None or own_vrf is None:
            raise RpcError(
                INVALID_PARAMETER,
                "this node has no voting key: start it with validator-id, or name the pubkey and "
                "vrf_pubkey of the node that shall vote",
            )
        return _Keys(own, own_vrf)

    def _hash(self, address: str | None, label: str) -> bytes:
        if address is None:
            with wallet_errors():
                address = self._purse.wallet.new_address(label)
        return self._purse.script(address)[1:]

    async def _funded(self, output: TxOutput, address: str, rate: int) -> Payment:
        script = self._purse.script(address)
        coins: list[Coin] = [
            (coin.point, coin.utxo)
            for coin in await self._addresses.unspent(
                script, lambda coin: coin.standing is Standing.SPENDABLE
            )
        ]
        with wallet_errors():
            return build_payment([output], coins, script, (), rate)

    def _stake(self, point: Outpoint) -> tuple[Utxo, Stake]:
        utxo = self._desk.utxo(point)
        script = None if utxo is None else parse_script(utxo.script)
        if utxo is None or not isinstance(script, Stake):
            raise RpcError(NOT_FOUND, "No unspent stake at this outpoint")
        return utxo, script

    def _leave(self, point: Outpoint, script: Stake) -> None:
        """Ask the masternode of the stake to leave, unless it has left or never joined."""
        joined_height = self._desk.joined_height(script.pubkey, point)
        if joined_height is None:
            return
        leave = self._desk.sign_leave(script.pubkey, joined_height)
        owner_script = pay_to_pubkey_hash(script.owner_hash)
        if leave is None and self._purse.wallet.is_mine(owner_script):
            with wallet_errors():
                leave = self._purse.wallet.sign_leave(
                    script.owner_hash, script.pubkey, joined_height
                )
        if leave is not None:
            self._desk.leave(leave)


def _prepared_json(payment: Payment) -> Json:
    """An unsigned transaction, with what its signer has to know."""
    return {
        "txid": payment.tx.txid.hex(),
        "hex": payment.tx.encoded.hex(),
        "fee": amount_json(payment.fee_units),
        "prevtxs": [
            {
                "txid": split_outpoint(point)[0].hex(),
                "vout": split_outpoint(point)[1],
                "scriptPubKey": utxo.script.hex(),
                "amount": amount_json(utxo.value),
            }
            for point, utxo in payment.spent
        ],
    }


def _point(text: str) -> Outpoint:
    txid, _, index = text.partition(":")
    if not (index.isascii() and index.isdigit()):
        raise RpcError(INVALID_PARAMETER, "outpoint: not TXID:VOUT")
    return outpoint(_TXID.read(txid, "outpoint"), _INDEX.read(int(index), "outpoint"))
