"""Who may come in, and who has to go (F24, F25)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.p2p.records import host
from timecoin.p2p.inbound import (
    SPARED_GROUPS,
    SPARED_NEAR,
    SPARED_USEFUL,
    Door,
    DoorLimits,
    Guest,
    choose_victim,
)
from timecoin.p2p.netgroup import address_group

SECRET = b"secret" * 5


def guest(
    key: int,
    address: str,
    *,
    staked: bool = False,
    merit: int = 0,
    latency_ms: int | None = 100,
    connected_ms: int | None = None,
) -> Guest[int]:
    """One inbound link; those with a higher number came later."""
    since_ms = key if connected_ms is None else connected_ms
    return Guest(key, address_group(host(address)), staked, merit, latency_ms, since_ms)


class VictimTests(SynchronousTestCase):
    """A full house."""

    def evict(self, guests: list[Guest[int]]) -> list[int]:
        """Whom a flood of newcomers drives out, until the rest is spared."""
        gone = []
        left = list(guests)
        while (victim := choose_victim(left, SECRET)) is not None:
            gone.append(victim)
            left = [one for one in left if one.key != victim]
        return gone

    def test_the_crowded_network_goes_first(self) -> None:
        crowd = [guest(n, f"8.8.0.{n + 1}", connected_ms=1_000 + n) for n in range(60)]
        others = [guest(100 + n, f"{20 + n}.1.1.1", connected_ms=n) for n in range(20)]
        victim = choose_victim(crowd + others, SECRET)
        self.assertEqual(victim, 59, "the newest of the crowd")

    def test_staked_peers_are_never_driven_out(self) -> None:
        staked = [guest(n, "8.8.8.8", staked=True, connected_ms=10**6) for n in range(50)]
        self.assertIsNone(choose_victim(staked, SECRET))
        crowd = [guest(100 + n, "9.9.9.9") for n in range(200)]
        self.assertTrue(all(key >= 100 for key in self.evict(staked + crowd)))

    def test_useful_and_near_peers_are_spared(self) -> None:
        useful = [guest(n, "8.8.8.8", merit=50, connected_ms=10**6) for n in range(SPARED_USEFUL)]
        near = [
            guest(50 + n, "8.8.8.8", latency_ms=1, connected_ms=10**6) for n in range(SPARED_NEAR)
        ]
        crowd = [guest(100 + n, "9.9.9.9") for n in range(200)]
        gone = self.evict([*useful, *near, *crowd])
        self.assertTrue(all(key >= 100 for key in gone), gone[:10])

    def test_a_flood_cannot_choose_its_victim(self) -> None:
        """Long-known peers outlast any number of newcomers from one network."""
        known = [guest(n, f"{20 + n}.1.1.1", connected_ms=n) for n in range(60)]
        house = list(known)
        for number in range(500):
            house.append(guest(1_000 + number, "9.9.9.9", connected_ms=10**6 + number))
            victim = choose_victim(house, SECRET)
            house = [one for one in house if one.key != victim]
        left = sum(one.key < 60 for one in house)
        self.assertGreaterEqual(left, 55)

    def test_a_small_house_is_spared_as_a_whole(self) -> None:
        few = [guest(n, f"{20 + n}.1.1.1") for n in range(SPARED_GROUPS)]
        self.assertIsNone(choose_victim(few, SECRET))
        self.assertIsNone(choose_victim([], SECRET))


class DoorTests(SynchronousTestCase):
    """Before TLS has cost anything."""

    def door(self, *, gives_way: bool = False, **limits: int) -> Door[int]:
        """With these limits."""
        return Door(DoorLimits(gives_way=gives_way, **limits), 0)

    def test_connects_of_one_network_are_slowed(self) -> None:
        door = self.door(connects_per_minute=60, connects_burst=5)
        taken = [door.knock(host("8.8.8.8"), 0) for _ in range(8)]
        self.assertEqual(taken, [True] * 5 + [False] * 3)
        self.assertFalse(door.knock(host("8.8.1.1"), 999), "the same network")
        self.assertTrue(door.knock(host("9.8.8.8"), 0))
        self.assertTrue(door.knock(host("8.8.8.8"), 1_000))

    def test_connects_of_all_networks_are_slowed_but_for_those_that_are_known(self) -> None:
        door = self.door(all_per_minute=60, all_burst=5)
        taken = [door.knock(bytes((20 + n, 8, 8, 8)), 0) for n in range(8)]
        self.assertEqual(taken, [True] * 5 + [False] * 3)
        self.assertTrue(door.knock(host("9.8.8.8"), 0, known=True))
        self.assertTrue(door.knock(host("8.8.8.8"), 1_000))
        self.assertFalse(door.knock(host("8.8.8.8"), 1_000))

    def test_a_ban_slows_its_network_down(self) -> None:
        door = self.door(connects_per_minute=60, connects_burst=5)
        door.slow_down(host("8.8.8.8"), 30, 0)
        self.assertFalse(door.knock(host("8.8.8.8"), 25_000))
        self.assertTrue(door.knock(host("8.8.8.8"), 26_000))

    def test_open_handshakes_of_one_network(self) -> None:
        """F24: connections that never finish TLS do not keep others out."""
        door = self.door(max_handshakes=10, max_handshakes_of_group=4)
        for key in range(4):
            self.assertTrue(door.knock(host("8.8.8.8"), 0))
            self.assertIsNone(door.entered(key, host("8.8.8.8")))
        self.assertFalse(door.knock(host("8.8.8.8"), 0))
        self.assertTrue(door.knock(host("9.8.8.8"), 0))
        door.left(0)
        self.assertTrue(door.knock(host("8.8.8.8"), 0))

    def test_a_full_door_gives_way_to_a_rarer_network(self) -> None:
        door = self.door(max_handshakes=4, max_handshakes_of_group=4)
        for key in range(4):
            door.entered(key, host("8.8.8.8"))
        self.assertTrue(door.knock(host("9.8.8.8"), 0))
        self.assertEqual(door.entered(9, host("9.8.8.8")), 0, "the oldest of the crowd")
        door.left(0)
        door.left(0)
        self.assertFalse(door.knock(host("8.8.8.8"), 0), "no rarer than those within")

    def test_a_door_that_gives_way_to_anybody(self) -> None:
        door = self.door(max_handshakes=4, gives_way=True)
        for key in range(4):
            door.entered(key, host(f"{20 + key}.8.8.8"))
        self.assertTrue(door.knock(host("9.8.8.8"), 0))
        self.assertEqual(door.entered(4, host("9.8.8.8")), 0, "the oldest")

    def test_memory_is_bounded(self) -> None:
        door = self.door()
        for number in range(6_000):
            door.knock(bytes([11 + number // 256, number % 256, 1, 1]), 0)
        self.assertLessEqual(len(door._buckets), 4_096)
