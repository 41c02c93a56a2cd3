"""A node of a local network becomes a masternode: it is given the collateral and stakes it."""

from __future__ import annotations

from decimal import Decimal

from timecoin.cli.devnet.record import DevnetError, NodeRecord
from timecoin.client.blocking import BlockingClient, RpcCallError, RpcUnreachable
from timecoin.ledger.amount import format_time
from timecoin.masternodes.active_set import COLLATERAL_UNITS, Tier

TIERS = {tier.name.lower(): tier for tier in reversed(Tier) if tier in COLLATERAL_UNITS}
FEES = Decimal(1)
"""TIME that it gets besides, for the fee of its stake and to have something to pay with."""
WAIT_S = 60


def register(payer: NodeRecord, node: NodeRecord, tier: str) -> str:
    """``payer`` pays the collateral to ``node``, which stakes it; the outpoint of the stake.

    It returns once the stake is final; the next blocks archive it and take the masternode in.
    :class:`DevnetError` when a node refuses.
    """
    amount = Decimal(format_time(COLLATERAL_UNITS[TIERS[tier]])) + FEES
    source, target = payer.client(), node.client()
    try:
        address = target.call("getnewaddress", ["collateral"])
        _wait_final(target, source.call("sendtoaddress", [address, str(amount)]))
        registered = target.call("masternoderegister", [tier])
        _wait_final(target, registered["txid"])
        return str(registered["outpoint"])
    except (RpcCallError, RpcUnreachable) as error:
        raise DevnetError(f"{node.name} cannot be registered: {error}") from error
    finally:
        source.close()
        target.close()


def _wait_final(client: BlockingClient, txid: str) -> None:
    state = client.call("waittransactionfinality", {"txid": txid, "timeout": WAIT_S})
    if state["finalized"] is not True:
        raise DevnetError(f"transaction {txid} is {state['status']} after {WAIT_S} s")
