"""What all steps of the demo share: the network, a caller for each node, and what was paid."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from timecoin.cli.devnet.network import Devnet
from timecoin.cli.devnet.record import NodeRecord
from timecoin.client.blocking import BlockingClient, RpcCallError, RpcUnreachable

POLL_S = 0.1
CALL_TIMEOUT_S = 60.0

T = TypeVar("T")


class DemoFailure(Exception):
    """A step that did not show what it should; ``log`` is the file to look at."""

    def __init__(self, reason: str, log: Path) -> None:
        super().__init__(reason)
        self.log = log


@dataclass(slots=True)
class Actor:
    """One node of the stage, and the connection over which it is called."""

    node: NodeRecord
    client: BlockingClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.node.client(CALL_TIMEOUT_S)

    @property
    def name(self) -> str:
        """The validator's name."""
        return self.node.name

    def call(self, method: str, params: Sequence[object] = (), **named: object) -> Any:
        """The result of a JSON-RPC method; :class:`DemoFailure` names this node's log."""
        try:
            return self.client.call(method, named or params)
        except (RpcCallError, RpcUnreachable) as error:
            raise DemoFailure(f"{self.name}: {method}: {error}", self.node.log_path) from error

    def calls_final(self, txid: str) -> bool:
        """Whether this node says that ``txid`` is final; one that it does not know is not."""
        try:
            return self.client.call("gettransactionfinality", [txid])["finalized"] is True
        except RpcCallError:
            return False
        except RpcUnreachable as error:
            raise self.fail(str(error)) from error

    def fail(self, reason: str) -> DemoFailure:
        """The failure to raise when this node did something wrong."""
        return DemoFailure(f"{self.name}: {reason}", self.node.log_path)


class Stage:
    """The running network and the payments that were final at some node."""

    def __init__(self, network: Devnet, slot_ms: int, progress: Callable[[str], None]) -> None:
        self.network = network
        self.slot_s = slot_ms / 1000
        self.progress = progress
        self.actors = [Actor(node) for node in network.nodes]
        self.final_txids: list[str] = []
        self.lost_txids: list[str] = []
        """Spends that another one has beaten: they must never become final."""
        self.addresses = [actor.call("getnewaddress") for actor in self.actors]

    def add(self, node: NodeRecord) -> Actor:
        """A node that has joined the network takes part from now on."""
        actor = Actor(node)
        self.actors.append(actor)
        self.addresses.append(actor.call("getnewaddress"))
        return actor

    def renew(self, index: int) -> Actor:
        """The actor at ``index`` after its process was started again."""
        self.actors[index].client.close()
        self.actors[index] = Actor(self.network.nodes[index])
        return self.actors[index]

    def close(self) -> None:
        """Close the connections."""
        for actor in self.actors:
            actor.client.close()

    def pay(self, sender: Actor, address: str, amount: str) -> float:
        """One payment through ``sender``, waited to finality; the milliseconds that took."""
        started = time.monotonic()
        txid = sender.call("sendtoaddress", [address, amount])
        self.wait_final(sender, txid)
        self.final_txids.append(txid)
        return (time.monotonic() - started) * 1000

    def wait_final(self, actor: Actor, txid: str) -> None:
        """Wait until ``txid`` is final at ``actor``."""
        state = actor.call("waittransactionfinality", txid=txid, timeout=30)
        if state["finalized"] is not True:
            raise actor.fail(f"payment {txid} is {state['status']}")

    def heights(self, actors: Sequence[Actor] | None = None) -> list[int]:
        """The height of each of ``actors`` (all of them by default)."""
        return [actor.call("getblockcount") for actor in actors or self.actors]

    def same_block(self, height: int, actors: Sequence[Actor] | None = None) -> str:
        """The hash that all ``actors`` have at ``height``; :class:`DemoFailure` if they differ."""
        chosen = actors or self.actors
        hashes = [actor.call("getblockhash", [height]) for actor in chosen]
        for actor, block_hash in zip(chosen, hashes, strict=True):
            if block_hash != hashes[0]:
                raise actor.fail(
                    f"block {height} is {block_hash}, {chosen[0].name} has {hashes[0]}"
                )
        return str(hashes[0])

    def wait_for(self, what: str, limit_s: float, actor: Actor, look: Callable[[], T | None]) -> T:
        """Ask ``look`` again and again until it gives something; ``actor`` is blamed otherwise."""
        deadline = time.monotonic() + limit_s
        while (found := look()) is None:
            if time.monotonic() > deadline:
                raise actor.fail(f"{what}: not within {limit_s:.0f} s")
            time.sleep(POLL_S)
        return found

    def wait_height(self, actors: Sequence[Actor], height: int, limit_s: float) -> None:
        """Wait until each of ``actors`` is at ``height`` or above."""
        self.wait_for(
            f"height {height}",
            limit_s,
            actors[0],
            lambda: min(self.heights(actors)) >= height or None,
        )
