"""Five hundred blocks from three peers: whole, from a set of outputs, with one liar among them."""

from __future__ import annotations

import functools

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from tests.chain.net import Net
from tests.sync.desk import Desk, Rewrite, World
from timecoin.chain.commit import Chain
from timecoin.codec import Wire
from timecoin.machine import Received
from timecoin.store.memory import MemoryEngine
from timecoin.sync import bodies
from timecoin.sync.messages import Bodies, GetBodies, Headers, TipAnnounce

BLOCKS = 500
BYTES_PER_MS = 40
LIMIT_MS = 600_000
NET = Net()
FADED = 1
"""Points that are forgiven in 200 s: one in six minutes."""
LIAR = b"source0".ljust(32, b"-")


_usual_ms: list[int] = []


@functools.cache
def history() -> Chain:
    """The chain, made once."""
    chain = NET.chain()
    coin = NET.coins(chain, 0)[0]
    for height in range(BLOCKS):
        tx = NET.pay([coin], height % 4)
        NET.grow(chain, NET.archive(tx, anchor=height))
        undo = chain.undo(height + 1)
        assert undo is not None
        coin = next(made for made in undo.created if not made[1].coinbase)
    return chain


class LongHistoryTests(SynchronousTestCase):
    """Every block archives a payment; lines are slow, so that time is what transfers take."""

    def setUp(self) -> None:
        self.chain = history()
        self.world = World(NET)
        self.engine = MemoryEngine()

    def sources(self, change: Rewrite | None = None) -> list[Desk]:
        """Three peers with the chain, the first of them a liar if ``change`` makes it one."""
        made = []
        for number in range(3):
            desk = self.world.desk(f"source{number}", self.chain)
            desk.bytes_per_ms = BYTES_PER_MS
            made.append(desk)
        if change is not None:
            made[0].rewrite = change
        return made

    def catch_up(self, late: Desk, sources: list[Desk]) -> int:
        """How long ``late`` needs, in milliseconds."""
        began_ms = self.world.now_ms
        for source in sources:
            self.world.link(late, source)
        while late.chain.tip_height < BLOCKS and self.world.now_ms - began_ms < LIMIT_MS:
            self.world.run(100)
        self.assertEqual(late.chain.tip, self.chain.tip)
        self.assertEqual(late.chain.lthash, self.chain.lthash)
        self.assertEqual(late.chain.supply, self.chain.supply)
        return self.world.now_ms - began_ms

    def usual_ms(self) -> int:
        """How long it takes with honest peers only; measured once."""
        if not _usual_ms:
            _usual_ms.append(self.catch_up(self.world.desk("usual"), self.sources()))
        return _usual_ms[0]

    def test_whole(self) -> None:
        took_ms = self.usual_ms()
        alone_ms = self.catch_up(self.world.desk("alone"), self.sources()[:1])
        self.assertLess(2 * took_ms, alone_ms * 1.5, "three lines are faster than one")

    def test_few_questions(self) -> None:
        """Bodies are asked for by the hundred, also when the window is full and moves on."""
        self.patch(bodies, "AHEAD_BLOCKS", 200)
        late = self.world.desk("late")
        asked: list[GetBodies] = []

        def count(peer: bytes, message: Wire) -> Wire:
            if isinstance(message, GetBodies):
                asked.append(message)
            return message

        late.rewrite = count
        sources = self.sources()
        for source in sources:
            source.bytes_per_ms = 10 * BYTES_PER_MS
        self.catch_up(late, sources)
        self.assertLess(len(asked), 12)

    def test_from_a_set(self) -> None:
        late = self.world.desk("late", load_into=self.engine)
        self.catch_up(late, self.sources())
        self.assertEqual(late.chain.first_body, BLOCKS + 1)
        self.assertEqual(late.blamed, [])

    def lied_to(self, change: Rewrite, banned: bool = True) -> Desk:
        """F20: done within twice the time, and the liar banned."""
        late = self.world.desk("late")
        sources = self.sources(change)
        took_ms = self.catch_up(late, sources)
        self.assertLessEqual(took_ms, 2 * self.usual_ms())
        self.assertEqual({peer for peer, _, _ in late.blamed} - {sources[0].name}, set())
        if banned:
            self.assertGreaterEqual(sum(points for _, points, _ in late.blamed), 50)
        return late

    def test_f20_bad_bodies(self) -> None:
        def swap(peer: bytes, message: Wire) -> Wire:
            if not isinstance(message, Bodies) or len(message.items) < 2:
                return message
            return msgspec.structs.replace(message, items=message.items[::-1])

        self.lied_to(swap)

    def test_f20_forged_headers(self) -> None:
        def forge(peer: bytes, message: Wire) -> Wire:
            if not isinstance(message, Headers):
                return message
            item = message.items[0]
            header = msgspec.structs.replace(item.header, timestamp_ms=1)
            certificate = msgspec.structs.replace(item.certificate, block_hash=header.hash)
            forged = msgspec.structs.replace(item, header=header, certificate=certificate)
            return msgspec.structs.replace(message, items=(forged, *message.items[1:]))

        self.lied_to(forge)

    def test_f20_huge_claims(self) -> None:
        def claim(peer: bytes, message: Wire) -> Wire:
            return TipAnnounce(2**63, bytes(32), 1) if isinstance(message, TipAnnounce) else message

        late = self.lied_to(claim, banned=False)
        self.world.run(200_000)
        self.assertEqual({peer for peer, _, _ in late.blamed}, {LIAR})
        self.assertGreaterEqual(sum(points for _, points, _ in late.blamed), 50 + FADED)

    def test_f20_withheld_ranges(self) -> None:
        """Silence is no proof of a lie: it is worked around, not banned."""

        def withhold(peer: bytes, message: Wire) -> Wire | None:
            return None if isinstance(message, Bodies) else message

        self.lied_to(withhold, banned=False)

    def test_f20_headers_without_end(self) -> None:
        """Pages nobody has asked for are charged, each."""
        flooded: list[bytes] = []

        def flood(peer: bytes, message: Wire) -> Wire:
            if isinstance(message, Headers) and not flooded:
                flooded.append(peer)
                receiver = self.world.desks[peer]
                for number in range(20):
                    again = msgspec.structs.replace(message, request=1_000 + number)
                    self.world.at(
                        10 * number,
                        functools.partial(receiver.deliver, Received(LIAR, again)),
                    )
            return message

        self.lied_to(flood)
