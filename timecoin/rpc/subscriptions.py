"""Who has subscribed to what, and what subscribers are told; no sockets here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from timecoin.crypto.address import AddressError, decode_address
from timecoin.ledger.script import pay_to_pubkey_hash
from timecoin.params import Network
from timecoin.rpc.errors import INVALID_PARAMETER, NOT_FOUND, RATE_LIMITED, TYPE_ERROR, RpcError
from timecoin.rpc.jsonvalues import dumps
from timecoin.rpc.method import rpc_method
from timecoin.rpc.rendering import Json
from timecoin.rpc.valuetypes import AddressText, Hash, Hex

BLOCKS = "blocks"
TRANSACTIONS = "transactions"
FINALITY = "finality"
ADDRESS = "address"
TOPICS = (BLOCKS, TRANSACTIONS, FINALITY, ADDRESS)

_TXID = Hex(32, 32, label="hash")


class Client(Protocol):
    """Port: one connection. Told only, never asked."""

    def tell(self, text: bytes) -> None:
        """Send a JSON text; a client that is gone or too slow is no error."""


@dataclass(frozen=True, slots=True)
class Topic:
    """What one subscription is about: ``key`` is a txid, or the script of an address."""

    name: str
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionLimits:
    """How many subscriptions one client may have, and all together."""

    per_client: int = 100
    in_all: int = 10_000


class Subscriptions:
    """All subscriptions of a node by topic, and by client so that they end with it."""

    def __init__(self, limits: SubscriptionLimits | None = None) -> None:
        self._limits = limits or SubscriptionLimits()
        self._by_topic: dict[Topic, dict[int, Client]] = {}
        self._by_client: dict[Client, dict[int, Topic]] = {}
        self._named = dict.fromkeys(TOPICS, 0)
        self._count = 0
        self._last = 0

    def __len__(self) -> int:
        return self._count

    def listens(self, name: str) -> bool:
        """Whether anybody has subscribed to a topic of that name: else nothing need be made."""
        return self._named[name] > 0

    def has(self, topic: Topic) -> bool:
        """Whether anybody has subscribed to exactly this."""
        return topic in self._by_topic

    def add(self, client: Client, topic: Topic) -> int:
        """The number of a new subscription; RPC error -32005 when there are too many."""
        own = self._by_client.get(client, {})
        if len(own) >= self._limits.per_client:
            raise RpcError(RATE_LIMITED, f"this client has {len(own)} subscriptions already")
        if self._count >= self._limits.in_all:
            raise RpcError(RATE_LIMITED, "this node has too many subscriptions")
        self._last += 1
        self._count += 1
        self._named[topic.name] += 1
        self._by_client.setdefault(client, own)[self._last] = topic
        self._by_topic.setdefault(topic, {})[self._last] = client
        return self._last

    def remove(self, client: Client, number: int) -> bool:
        """End a subscription of this client; whether it had it."""
        own = self._by_client.get(client, {})
        topic = own.pop(number, None)
        if topic is None:
            return False
        self._forget(topic, number)
        if not own:
            del self._by_client[client]
        return True

    def drop(self, client: Client) -> None:
        """End all subscriptions of a client that is gone."""
        for number, topic in self._by_client.pop(client, {}).items():
            self._forget(topic, number)

    def publish(self, topic: Topic, result: Json) -> None:
        """Tell every subscriber of exactly this ``topic``."""
        subscribers = self._by_topic.get(topic)
        if subscribers is None:
            return
        name, text = dumps(topic.name), dumps(result)
        for number, client in list(subscribers.items()):
            client.tell(
                b'{"jsonrpc":"2.0","method":"subscription","params":'
                b'{"subscription":%d,"topic":%s,"result":%s}}' % (number, name, text)
            )

    def _forget(self, topic: Topic, number: int) -> None:
        self._count -= 1
        self._named[topic.name] -= 1
        subscribers = self._by_topic[topic]
        del subscribers[number]
        if not subscribers:
            del self._by_topic[topic]


@dataclass(frozen=True, slots=True)
class Streams:
    """What there is to subscribe to: the network says what an address is."""

    network: Network
    subscriptions: Subscriptions


class SubscriptionMethods:
    """What one client of ``/ws`` may call."""

    def __init__(self, network: Network, subscriptions: Subscriptions, client: Client) -> None:
        self._network = network
        self._subscriptions = subscriptions
        self._client = client

    @rpc_method()
    def subscribe(
        self,
        topic: str,
        options: dict[str, object] | None = None,
        *,
        txid: Hash | None = None,
        address: AddressText | None = None,
    ) -> int:
        """Be told of blocks, transactions, finality or address; answers a subscription's number.

        finality may be narrowed to one txid; address needs an address. Both may stand in options
        or beside topic.
        """
        given = dict(options or {})
        if txid is not None:
            given["txid"] = txid.hex()
        if address is not None:
            given["address"] = address
        return self._subscriptions.add(self._client, self._topic(topic, given))

    @rpc_method()
    def unsubscribe(self, subscription: int) -> bool:
        """End one subscription of this connection; whether there was one of that number."""
        return self._subscriptions.remove(self._client, subscription)

    def _topic(self, name: str, given: dict[str, object]) -> Topic:
        if name not in TOPICS:
            raise RpcError(INVALID_PARAMETER, f"topic: none of {', '.join(TOPICS)}")
        allowed = {FINALITY: "txid", ADDRESS: "address"}.get(name)
        for key in given:
            if key != allowed:
                raise RpcError(TYPE_ERROR, f"options: unexpected key {key[:64]} for {name}")
        if name == FINALITY and "txid" in given:
            return Topic(name, _TXID.read(given["txid"], "txid"))
        if name == ADDRESS:
            return Topic(name, self._script(given.get("address")))
        return Topic(name)

    def _script(self, address: object) -> bytes:
        if not isinstance(address, str):
            raise RpcError(TYPE_ERROR, "address: a text is needed")
        try:
            return pay_to_pubkey_hash(decode_address(self._network, address))
        except AddressError as error:
            raise RpcError(NOT_FOUND, f"Invalid address: {error}") from error
