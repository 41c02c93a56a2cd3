"""Constants that must not collide."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from timecoin import params


class TagTests(SynchronousTestCase):
    tags = tuple(value for name, value in vars(params).items() if name.startswith("TAG_"))

    def test_every_object_of_the_protocol_has_one(self) -> None:
        names = (
            "tx txid wtxid block body merkle-leaf merkle-node vote stored candidate proposal "
            "prepare precommit seed vrf heartbeat attestation leave hello stake-proof "
            "address-record genesis"
        )
        for name in names.split():
            self.assertIn(f"timecoin/{name}\0".encode(), self.tags)

    def test_no_tag_is_the_beginning_of_another(self) -> None:
        for first in self.tags:
            self.assertEqual([tag for tag in self.tags if tag.startswith(first)], [first])
            self.assertEqual(first.index(0), len(first) - 1)


class NetworkTests(SynchronousTestCase):
    def test_labels(self) -> None:
        for network in params.Network:
            self.assertIs(params.network_of(network.label), network)

    def test_unknown_label_names_the_choices(self) -> None:
        for label in ("", "Devnet", "regtest", "3"):
            error = self.assertRaises(ValueError, params.network_of, label)
            self.assertIn("mainnet, testnet, devnet", str(error))

    def test_numbers_of_the_protocol(self) -> None:
        self.assertEqual([int(network) for network in params.Network], [1, 2, 3])
        self.assertEqual(list(params.HRP.values()), ["time", "timet", "timed"])

    def test_ports_differ(self) -> None:
        ports = [*params.PEER_PORT.values(), *params.RPC_PORT.values()]
        self.assertEqual(len(set(ports)), 6)

    def test_every_network_has_all_its_figures(self) -> None:
        for table in (
            params.HRP,
            params.PEER_PORT,
            params.RPC_PORT,
            params.ENTRIES_PER_SLOT_SECOND,
            params.CONSENSUS_TIMING,
        ):
            self.assertEqual(list(table), list(params.Network))
