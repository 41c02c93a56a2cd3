"""Seeds for the fuzzers: messages that simulated nodes really sent, and texts that users write."""

from __future__ import annotations

from tests.fuzz import bytesof
from tests.fuzz.targets import METHODS, TYPES
from timecoin.codec import encode
from timecoin.crypto.address import encode_address
from timecoin.ledger import script
from timecoin.ledger.genesis import genesis_to_json
from timecoin.node.catalog import MESSAGES
from timecoin.node.config import OPTIONS
from timecoin.p2p.framing import encode_frame
from timecoin.params import Network
from timecoin.rpc.jsonvalues import dumps
from timecoin.sim.world import World, WorldSettings

VIRTUAL_SECONDS = 25
PAYMENTS = 6
PER_KIND = 8
"""Messages of one kind that are kept, the shortest ones."""
MAX_SEED_BYTES = 20_000


def seeds() -> dict[str, list[bytes]]:
    """The first inputs of each target."""
    world, payloads = _traffic()
    genesis = world.genesis
    node = world.nodes[0].running
    pubkey_hash = bytes(range(20))
    keys = (bytes([1]) * 32, bytes([2]) * 32)
    wire = [
        bytes([TYPES.index(MESSAGES[kind].type)]) + payload
        for kind, sent in payloads.items()
        for payload in sent
    ]
    block = node.views.block(1)
    assert block is not None, "no block in the corpus's run"
    wire.append(bytes([TYPES.index(type(block))]) + encode(block))
    active = node.chain.active_set(0)
    assert active is not None
    wire.append(bytes([TYPES.index(type(active))]) + encode(active))
    return {
        "wire": [item for item in wire if len(item) <= MAX_SEED_BYTES],
        "frames": [
            b"\x05" + encode_frame(kind, sent[0]) * 2 for kind, sent in payloads.items() if sent
        ],
        "rpc": [
            dumps({"jsonrpc": "2.0", "id": 1, "method": name, "params": ["00" * 32, 1]})
            for name in METHODS
        ],
        "json": [b'{"a": [1, 2.5, -3e2, true, null, "\\u2603"]}', b"[[], {}, 0.1]"],
        "config": [b"".join(b"%s=1\n" % option.name.encode() for option in OPTIONS), b"# nothing"],
        "genesis": [genesis_to_json(genesis).encode()],
        "scripts": [
            script.pay_to_pubkey_hash(pubkey_hash),
            script.multisig(1, keys),
            script.data(b"text"),
            script.stake(*keys, pubkey_hash, pubkey_hash, 7),
        ],
        "texts": [
            encode_address(Network.DEVNET, pubkey_hash).encode(),
            b"timecoin:" + encode_address(Network.DEVNET, pubkey_hash).encode() + b"?amount=1.5",
            b"[::1]:24000",
            b"node.example:24000",
            b"192.0.2.0/24",
            b"info,p2p:debug",
            b"alice:0123456789abcdef$" + b"ab" * 32,
            b"alice:ping,help",
            b"12.00000001",
        ],
        "rows": list(bytesof.rows(world)),
        "files": list(bytesof.files()),
        "proofs": list(bytesof.proofs(world)),
        "http": list(bytesof.http()),
        "websocket": list(bytesof.websocket()),
        "session": list(bytesof.link()),
    }


def _traffic() -> tuple[World, dict[int, list[bytes]]]:
    """A short run of four nodes, and the shortest messages of each kind that they sent."""
    world = World(1, WorldSettings(nodes=4))
    sent: dict[int, dict[bytes, None]] = {}

    def observe(kind: int, payload: bytes) -> None:
        sent.setdefault(kind, {})[payload] = None

    world.network.observers.append(observe)
    world.start()
    for number in range(PAYMENTS):
        tx = world.users.payment()
        assert tx is not None, "the users are out of coins"
        world.submit(number % 4, tx)
        world.run(VIRTUAL_SECONDS / PAYMENTS)
    return world, {
        kind: sorted(found, key=lambda item: (len(item), item))[:PER_KIND]
        for kind, found in sorted(sent.items())
    }
