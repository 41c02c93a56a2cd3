"""One line for each thing that happens in a node."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from timecoin.cli.output.sanitize import visible
from timecoin.cli.output.tables import status_style
from timecoin.finality.events import Status

MAX_REMEMBERED = 10_000
"""Transactions whose first sight is known."""
LAST_MS = 253_402_300_799_000
HASH_SHOWN = 16
STATUS_WIDTH = len(Status.LOCALLY_ACCEPTED.value)


class Lines:
    """Remembers when a transaction was first told of, to say how long it took."""

    def __init__(self) -> None:
        self._seen_ms: OrderedDict[str, int] = OrderedDict()

    def line(self, topic: str, result: Mapping[str, Any]) -> Text:
        """What ``result``, the node's own, says."""
        match topic:
            case "blocks":
                return self._block(result)
            case "transactions":
                return self._transaction(result)
            case "address":
                return self._address(result)
        return self._status(result)

    def _block(self, result: Mapping[str, Any]) -> Text:
        text = _moment(result.get("timestamp_ms"))
        text.append(f"block {result.get('height')}", "bold")
        producer = visible(str(result.get("producer"))[:HASH_SHOWN])
        text.append(f"  {visible(str(result.get('hash')))}  ")
        text.append(
            f"{result.get('nTx')} transactions, round {result.get('round')}, by {producer}", "dim"
        )
        return text

    def _transaction(self, result: Mapping[str, Any]) -> Text:
        outputs = result.get("vout", [])
        text = Text().append("transaction  ", "bold")
        text.append(visible(str(result.get("txid"))))
        text.append(
            f"  {sum(output['value'] for output in outputs)} TIME in {len(outputs)} outputs", "dim"
        )
        return text

    def _address(self, result: Mapping[str, Any]) -> Text:
        text = self._status(result)
        for sign, name in (("+", "received"), ("-", "sent")):
            if result.get(name):
                text.append(f"  {sign}{result[name]} TIME", "bold")
        text.append(f"  {visible(str(result.get('address')))}")
        return text

    def _status(self, result: Mapping[str, Any]) -> Text:
        status, txid = visible(str(result.get("status"))), visible(str(result.get("txid")))
        at_ms = result.get("time_ms")
        text = _moment(at_ms)
        text.append(f"{status:<{STATUS_WIDTH}}", status_style(status))
        text.append(f"  {txid}")
        if isinstance(at_ms, int):
            first_ms = self._first_seen(txid, at_ms)
            if at_ms > first_ms:
                text.append(f"  after {at_ms - first_ms} ms", "dim")
        return text

    def _first_seen(self, txid: str, at_ms: int) -> int:
        first_ms = self._seen_ms.setdefault(txid, at_ms)
        if len(self._seen_ms) > MAX_REMEMBERED:
            self._seen_ms.popitem(last=False)
        return first_ms


def _moment(at_ms: object) -> Text:
    if not isinstance(at_ms, int) or not 0 <= at_ms <= LAST_MS:
        return Text()
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return Text().append(f"{at:%H:%M:%S}.{at_ms % 1000:03d}  ", "dim")
