"""What benchmarks on a local network share: calls, coins to pay with, figures, profiles."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import treq
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool
from twisted.web.http_headers import Headers

from timecoin import params
from timecoin.cli.devnet import processes
from timecoin.cli.devnet.network import Devnet
from timecoin.cli.devnet.record import NodeRecord
from timecoin.crypto.hashing import hash160
from timecoin.crypto.keys import SigningKey
from timecoin.ledger.check import min_fee_units
from timecoin.ledger.genesis import Genesis
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.ledger.signing import sign_transaction
from timecoin.ledger.transaction import Transaction, TxInput, TxOutput, split_outpoint
from timecoin.ledger.transaction import outpoint as make_outpoint
from timecoin.ledger.utxo import Utxo

COIN_UNITS = params.UNITS_PER_TIME
KEPT_S = 20
"""How long an idle connection is kept: the node closes it after 30 s, maybe under a request."""
IDLE = ("Condition.wait", "EPollReactor.doPoll")

Coin = tuple[bytes, Utxo]


@contextlib.contextmanager
def local_network(
    nodes: int, base_port: int, slot_ms: int, say: Callable[[str], None], tls: bool = False
) -> Iterator[Devnet]:
    """A devnet in a folder of its own; both are gone at the end, also at one by a signal."""
    processes.stop_by_signals()
    with tempfile.TemporaryDirectory(prefix="timecoin-bench-") as directory:
        network = Devnet.start(Path(directory) / "net", nodes, base_port, slot_ms, say, tls)
        try:
            yield network
        finally:
            network.stop()


class Caller:
    """Asynchronous JSON-RPC calls to one node, HTTPS if it serves that."""

    def __init__(self, reactor: Any, node: NodeRecord, kept: bool = True) -> None:
        """``kept``: over kept connections; else each over a new one."""
        pool = HTTPConnectionPool(reactor, persistent=kept)
        pool.maxPersistentPerHost = 64
        pool.cachedConnectionTimeout = KEPT_S
        if node.tls_cert is None:
            agent = Agent(reactor, pool=pool)
        else:
            trusted = Certificate.loadPEM(Path(node.tls_cert).read_bytes())
            policy = BrowserLikePolicyForHTTPS(trustRootFromCertificates([trusted]))
            agent = Agent(reactor, policy, pool=pool)
        self._client = treq.client.HTTPClient(agent)
        self._url = node.rpc_url
        login = base64.b64encode(f"{node.rpc_user}:{node.rpc_password}".encode()).decode()
        self._headers = Headers(
            {"content-type": ["application/json"], "authorization": [f"Basic {login}"]}
        )

    async def post(self, body: object) -> Any:
        """The decoded answer to one request or batch."""
        response = await self._client.post(
            self._url, headers=self._headers, data=json.dumps(body).encode()
        )
        return json.loads(await response.content())

    async def call(self, method: str, *arguments: object) -> Any:
        """The result of one call; ``RuntimeError`` with the node's reason."""
        answer = await self.post(
            {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(arguments)}
        )
        if "error" in answer:  # of the method, or of HTTP
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]


class Coins:
    """One key's coins; every payment spends one and makes one, so they never run out."""

    def __init__(self, genesis: Genesis, seed: int) -> None:
        self.key = SigningKey(random.Random(seed).randbytes(32))
        self.script = pay_to_pubkey_hash(hash160(self.key.public))
        self._chain_id = genesis.chain_id
        self._free: list[Coin] = []

    def fan_out(
        self,
        source: Coin,
        count: int,
        value_units: int = COIN_UNITS,
        script: bytes | None = None,
    ) -> Transaction:
        """Cut one coin into ``count`` and change, for this key or for ``script``.

        This key's are free once the transaction is final: tell :meth:`free` then.
        """
        outputs = (TxOutput(value_units, script or self.script),) * count
        fee = min_fee_units(params.MAX_TX_BYTES)
        change = TxOutput(source[1].value - count * value_units - fee, self.script)
        return self._spend(source, (*outputs, change))

    def free(self, tx: Transaction, count: int) -> None:
        """The first ``count`` outputs of ``tx`` may be spent."""
        self._free += [self.coin(tx, index) for index in range(count)]

    def coin(self, tx: Transaction, index: int) -> Coin:
        """Output ``index`` of ``tx``."""
        output = tx.outputs[index]
        return make_outpoint(tx.txid, index), Utxo(output.value, output.lock_script, 0, False)

    def payments(self, count: int, fee_units: int = params.MIN_FEE_UNITS) -> list[Transaction]:
        """``count`` signed payments of the coins that have rested longest."""
        made = []
        for point, utxo in self._free[:count]:
            output = TxOutput(utxo.value - fee_units, self.script)
            made.append(self._spend((point, utxo), (output,)))
        del self._free[:count]
        return made

    def _spend(self, source: Coin, outputs: tuple[TxOutput, ...]) -> Transaction:
        point, utxo = source
        inputs = (TxInput(*split_outpoint(point), params.SEQUENCE_FINAL),)
        unsigned = Transaction(params.TX_VERSION, inputs, outputs, 0, ((),))
        return sign_transaction(unsigned, (utxo,), self._chain_id, (self.key,))


def percentile(ordered: list[float], per_cent: float) -> float:
    """The value at ``per_cent`` of a sorted list; NaN of none."""
    if not ordered:
        return math.nan
    return ordered[min(len(ordered) - 1, int(len(ordered) * per_cent / 100))]


def cpu_wait_s(node: NodeRecord) -> float:
    """How long a node's loop, so far, could have run and had no processor."""
    return int(Path(f"/proc/{node.pid}/schedstat").read_text().split()[1]) / 1e9


def cpu_s(node: NodeRecord) -> float:
    """Processor time of a node so far."""
    fields = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def profile(pid: int, seconds: int) -> str:
    """py-spy's hottest functions of a node: by themselves, and the project's with all they call."""
    with tempfile.NamedTemporaryFile(suffix=".txt") as out:
        spy = str(Path(sys.executable).with_name("py-spy"))
        command = [spy, "record", "--pid", str(pid), "--duration", str(seconds)]
        command += ["--format", "raw", "--function", "--output", out.name]
        subprocess.run(command, check=True, capture_output=True)
        own: dict[str, int] = {}
        whole: dict[str, int] = {}
        for line in Path(out.name).read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            frames = stack.split(";")
            if frames[-1].startswith(IDLE):
                continue
            own[frames[-1]] = own.get(frames[-1], 0) + int(count)
            for frame in {frame for frame in frames if "(timecoin/" in frame}:
                whole[frame] = whole.get(frame, 0) + int(count)
    total = sum(own.values())

    def hottest(counts: dict[str, int], number: int) -> str:
        ordered = sorted(counts.items(), key=lambda item: -item[1])[:number]
        return "\n".join(f"    {100 * count / total:5.1f} %  {name}" for name, count in ordered)

    return f"{hottest(own, 10)}\n  with what they call:\n{hottest(whole, 30)}"
