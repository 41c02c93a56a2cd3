"""The deployment scripts: what they would run, and what they make here; no host is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.tools import needs_tool
from timecoin.node.config import load_config
from timecoin.node.genesisfile import read_genesis

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CLI = Path(sys.executable).with_name("timecoin-cli")
HOSTS = ("192.0.2.1", "192.0.2.2", "192.0.2.11")
LIMIT_S = 120


class ScriptTests(SynchronousTestCase):
    def setUp(self) -> None:
        needs_tool("bash")
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)

    def script(self, name: str, *arguments: str, path: str | None = None) -> tuple[int, str, str]:
        """Status, output and messages of a script."""
        environ = os.environ | {"TIMECOIN_CLI": str(CLI), "PATH": path or os.environ["PATH"]}
        ended = subprocess.run(
            [str(DEPLOY / name), *arguments],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            env=environ,
            cwd=self.directory,
        )
        return ended.returncode, ended.stdout, ended.stderr

    def dry(self, name: str, *arguments: str) -> str:
        """Everything that a script would run; it leaves nothing behind."""
        status, shown, said = self.script(name, "--dry-run", *arguments)
        self.assertEqual(status, 0, said)
        self.assertEqual(list(self.directory.iterdir()), [])
        return shown + said

    def test_shellcheck(self) -> None:
        scripts = [
            *DEPLOY.glob("*.sh"),
            *ROOT.glob("debian/*.sh"),
            *ROOT.glob("debian/timecoin.p*"),
        ]
        scripts += [ROOT / "debian" / "tests" / name for name in ("smoke", "lifecycle", "node.sh")]
        ended = subprocess.run(
            [needs_tool("shellcheck"), "-x", *map(str, sorted(scripts))],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            cwd=ROOT,
        )
        self.assertEqual(ended.stdout, "")

    def test_local(self) -> None:
        shown = self.dry("local.sh", "up", "net", "5")
        self.assertIn("devnet start --nodes 5 --slot 10 --dir net --detach", shown)
        self.assertIn("devnet stop --dir net", self.dry("local.sh", "down", "net"))

    def test_ssh_shows_every_command(self) -> None:
        shown = self.dry("ssh.sh", "--deb", "a.deb", "--dir", "net", "--user", "admin", *HOSTS)
        for number, host in enumerate(HOSTS, start=1):
            others = ",".join(f"{other}:24100" for other in HOSTS if other != host)
            self.assertIn(f"    peers={others}\n", shown)
            self.assertIn(f"validator-id=validator{number}\n", shown)
            for command in ("apt-get install -y", "systemctl enable --now timecoin"):
                self.assertRegex(shown, rf"\+ ssh .*admin@{host} '.*{command}.*'")
            self.assertRegex(shown, rf"\+ scp .*validator{number}\.key admin@{host}:")
        self.assertLess(shown.rindex("apt-get"), shown.index("systemctl"))

    def test_ssh_makes_a_network(self) -> None:
        """With an ssh that says yes to everything: keys, wallets, genesis and settings are real."""
        bin_directory = Path(self.mktemp()).absolute()
        bin_directory.mkdir()
        for name in ("ssh", "scp"):
            (bin_directory / name).write_text(f'#!/bin/sh\necho "{name} $*"\n')
            (bin_directory / name).chmod(0o755)
        (self.directory / "a.deb").touch()
        arguments = ("--deb", "a.deb", "--dir", "net", *HOSTS)
        path = f"{bin_directory}:{os.environ['PATH']}"
        status, shown, said = self.script("ssh.sh", *arguments, path=path)
        self.assertEqual(status, 0, said)
        net = self.directory / "net"
        genesis = read_genesis(net / "genesis.json")
        self.assertEqual(len(genesis.genesis.validators), len(HOSTS))
        for number in range(1, len(HOSTS) + 1):
            config = load_config({}, net / f"node{number}" / "timecoin.conf")
            self.assertEqual(config.validator_id, f"validator{number}")
            self.assertEqual(len(config.peers), len(HOSTS) - 1)
        secrets = [*net.glob("keys/*.key"), *net.glob("node*/wallet.dat")]
        self.assertEqual(len(secrets), 2 * len(HOSTS))
        self.assertEqual({path.stat().st_mode & 0o077 for path in secrets}, {0})
        self.assertIn("install -o root -g timecoin -m 0640", shown)
        self.assertNotIn("sudo", shown)

        status, _, said = self.script("ssh.sh", *arguments, path=path)
        self.assertEqual(status, 1)
        self.assertIn("net is there already", said)

    def test_digitalocean(self) -> None:
        up = ("up", "--deb", "a.deb", "--dir", "net", "--ssh-key", "aa:bb")
        shown = self.dry("digitalocean.sh", *up)
        self.assertIn(
            "droplet create timecoin-1 timecoin-2 timecoin-3 timecoin-4 timecoin-5 ", shown
        )
        self.assertIn("firewall create --name timecoin", shown)
        self.assertIn("root@HOST5 'systemctl enable", shown)
        shown = self.dry("digitalocean.sh", "down")
        self.assertIn("droplet delete --tag-name timecoin --force", shown)
        self.assertIn("firewall delete FIREWALL_ID --force", shown)

    def test_aws(self) -> None:
        shown = self.dry("aws.sh", "up", "--deb", "a.deb", "--dir", "net", "--key-name", "mine")
        self.assertIn("run-instances --image-id AMI_ID --count 5 ", shown)
        self.assertIn("--port 24100 ", shown)
        self.assertIn("admin@HOST5 'sudo systemctl enable", shown)
        shown = self.dry("aws.sh", "down")
        self.assertIn("terminate-instances --instance-ids INSTANCE_IDS", shown)
        self.assertIn("delete-security-group --group-name timecoin", shown)

    def test_wrong_usage(self) -> None:
        for name, arguments in (
            ("local.sh", ()),
            ("local.sh", ("explode", "net")),
            ("ssh.sh", ("--deb", "a.deb", "--dir", "net")),
            ("ssh.sh", ("--wat",)),
            ("digitalocean.sh", ("up",)),
            ("aws.sh", ("--dry-run",)),
        ):
            status, shown, said = self.script(name, *arguments)
            self.assertEqual((status, shown), (2, ""), (name, arguments))
            self.assertIn(f"{name} [--dry-run]", said)
        for wrong in (("--deb",), ("--deb", "a", "--dir", "n", "--network", "mainnet", "h")):
            status, _, said = self.script("ssh.sh", *wrong)
            self.assertEqual((status, len(said.splitlines())), (1, 1), said)
