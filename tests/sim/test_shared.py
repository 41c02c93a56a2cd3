"""What nodes of a world share is what each would have found out by itself."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from timecoin.codec import CodecError, T, decode, encode
from timecoin.consensus.messages import BlockVote
from timecoin.masternodes.active_set import ActiveSet
from timecoin.masternodes.heartbeat import witnesses
from timecoin.sim.disk import SimDisk
from timecoin.sim.shared import Shared
from timecoin.sim.world import World, WorldSettings

VOTE = BlockVote(1, 1, 0, bytes(32), bytes(32), bytes(64))


class Unshared(Shared):
    """Finds out everything anew."""

    def decode(self, data: bytes, kind: type[T], max_bytes: int) -> T:
        return decode(data, kind, max_bytes)

    def draw(self, hash_: bytes, pubkey: bytes, snapshot: ActiveSet) -> tuple[bytes, ...]:
        return witnesses(hash_, pubkey, snapshot)

    def same(self, data: bytes) -> bytes:
        return data


def run(shared: Shared) -> str:
    """The digest of a small world."""
    world = World(5, WorldSettings(nodes=4))
    world.shared = shared
    for node in world.nodes:
        node.engine = SimDisk(shared.same)
    world.start()
    for _ in range(3):
        tx = world.users.payment()
        assert tx is not None
        world.submit(0, tx)
        world.run(12)
    return world.trace.digest()


class SharedTests(SynchronousTestCase):
    def test_sharing_changes_nothing(self) -> None:
        self.assertEqual(run(Shared()), run(Unshared()))

    def test_a_message_is_decoded_once(self) -> None:
        shared, data = Shared(), encode(VOTE)
        first = shared.decode(data, BlockVote, 1_000)
        self.assertEqual(first, VOTE)
        self.assertIs(shared.decode(bytes(bytearray(data)), BlockVote, 1_000), first)

    def test_what_is_refused_is_refused_again(self) -> None:
        shared, data = Shared(), encode(VOTE)
        for _ in range(2):
            self.assertRaises(CodecError, shared.decode, data + b"\0", BlockVote, 1_000)
        shared.decode(data, BlockVote, len(data))
        self.assertRaises(CodecError, shared.decode, data, BlockVote, len(data) - 1)

    def test_a_row_of_many_disks_stands_once(self) -> None:
        shared = Shared()
        disks = [SimDisk(shared.same) for _ in range(2)]
        for disk in disks:
            disk.write([("meta", b"key" * 3, bytes(bytearray(b"value")))], sync=True)
        one, other = (disk.get("meta", b"key" * 3) for disk in disks)
        self.assertEqual(one, b"value")
        self.assertIs(one, other)
