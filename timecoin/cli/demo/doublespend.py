"""Step: two conflicting spends of one coin reach two nodes at once; exactly one becomes final."""

from __future__ import annotations

from timecoin.cli.demo.conflict import Purse, send_at_once
from timecoin.cli.demo.stage import Stage
from timecoin.node.config import GENESIS_NAME
from timecoin.node.genesisfile import read_genesis

COIN = "20"
SLOTS = 6


def double_spend(stage: Stage) -> str:
    """Fund a key of the demo's own, spend its coin twice, and see one side win everywhere."""
    purse = Purse(read_genesis(stage.network.directory / GENESIS_NAME).genesis)
    _fund(stage, purse)
    spends = [purse.spend(address) for address in stage.addresses[:2]]
    txids = [spend.txid.hex() for spend in spends]
    start = max(stage.heights())
    sent = send_at_once(stage.network.nodes[:2], spends)
    if sent.failures:
        raise stage.actors[0].fail(sent.failures[0])

    def decided() -> int | None:
        finals = _finals(stage, txids)
        height = min(stage.heights())
        stage.progress(f"two conflicting spends are out, {height - start} blocks later")
        for index in (0, 1):
            if all(final[index] for final in finals):
                return index
        if height > start + SLOTS:
            raise stage.actors[0].fail(f"no side has won {SLOTS} blocks after the double spend")
        return None

    limit_s = 20 + 2 * SLOTS * stage.slot_s
    winner = stage.wait_for("one spend is final", limit_s, stage.actors[0], decided)
    blocks = max(stage.heights()) - start
    stage.final_txids.append(txids[winner])
    stage.lost_txids.append(txids[1 - winner])
    return (
        f"two conflicting spends, taken at first by {' and '.join(sorted(sent.taken))}: "
        f"exactly one is final, at every node, {blocks} blocks later"
    )


def _fund(stage: Stage, purse: Purse) -> None:
    """Pay :data:`COIN` to ``purse``, and wait until that is final at every node."""
    payer = stage.actors[0]
    txid = payer.call("sendtoaddress", [purse.address, COIN])
    for actor in stage.actors:
        stage.wait_final(actor, txid)
    stage.final_txids.append(txid)
    purse.take(payer.call("getrawtransaction", [txid, True]))


def _finals(stage: Stage, txids: list[str]) -> list[list[bool]]:
    """For each node, which of the two it calls final; :class:`DemoFailure` if both are anywhere."""
    finals = [[actor.calls_final(txid) for txid in txids] for actor in stage.actors]
    if all(any(final[index] for final in finals) for index in range(len(txids))):
        raise stage.actors[0].fail(f"both {' and '.join(txids)} are final")
    return finals
