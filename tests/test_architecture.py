"""The rules of docs/architecture.rst hold for every file; and the checks of them can fail."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.architecture import EXEMPT, RULES, Module, findings, modules

ROOT = Path(__file__).resolve().parent.parent

# rule, path, code; the last line of each is the one to be found.
BROKEN: tuple[tuple[str, str, str], ...] = (
    ("rows", "timecoin/ledger/a.py", "import timecoin.chain.views\n"),
    ("rows", "timecoin/ledger/a.py", "x = 1\nfrom timecoin import chain\n"),
    ("rows", "timecoin/ledger/a.py", "from timecoin.p2p.ports import Network\n"),
    ("rows", "timecoin/finality/a.py", "from timecoin.consensus import ports\n"),
    ("rows", "timecoin/finality/a.py", "from ..consensus import ports\n"),
    ("rows", "timecoin/finality/a.py", "def f():\n    from timecoin.node import build\n"),
    ("rows", "timecoin/codec.py", "from timecoin.crypto import keys\n"),
    ("rows", "timecoin/nowhere/a.py", "X = 1\n"),
    ("pure-imports", "timecoin/consensus/round.py", "import time\n"),
    ("pure-imports", "timecoin/wallet/coins.py", "from os import path\n"),
    ("pure-imports", "timecoin/chain/a.py", "from twisted.internet import reactor\n"),
    ("pure-imports", "timecoin/chain/a.py", "import twisted.internet.task\n"),
    ("pure-imports", "timecoin/p2p/peer.py", "from twisted.internet import reactor\n"),
    ("pure-imports", "timecoin/p2p/peer.py", "from time import monotonic\n"),
    ("pure-imports", "timecoin/crypto/a.py", "from nacl.utils import random\n"),
    ("pure-calls", "timecoin/ledger/a.py", "open('x')\n"),
    ("seeded-random", "timecoin/mempool/a.py", "from random import choice\n"),
    ("seeded-random", "timecoin/mempool/a.py", "import random\nrandom.shuffle([])\n"),
    ("seeded-random", "timecoin/p2p/a.py", "import random\nrandom.random()\n"),
    ("seeded-random", "timecoin/sim/a.py", "from random import Random\nRandom()\n"),
    ("exact-numbers", "timecoin/ledger/a.py", "X = 0.5\n"),
    ("exact-numbers", "timecoin/ledger/a.py", "def f(a, b):\n    return a / b\n"),
    ("exact-numbers", "timecoin/ledger/a.py", "def f(a):\n    a /= 2\n"),
    ("exact-numbers", "timecoin/quorum/a.py", "float('1')\n"),
    ("hash-builtin", "timecoin/ledger/a.py", "hash(b'x')\n"),
    ("set-order", "timecoin/ledger/a.py", "for x in {1, 2}: pass\n"),
    ("set-order", "timecoin/ledger/a.py", "for x in set([1]): pass\n"),
    ("set-order", "timecoin/ledger/a.py", "[x for x in frozenset((1,))]\n"),
    ("set-order", "timecoin/ledger/a.py", "{x: 1 for x in {1, 2}}\n"),
    ("set-order", "timecoin/ledger/a.py", "tuple({x for x in (1, 2)})\n"),
    ("set-order", "timecoin/ledger/a.py", "def f(a, b):\n    for x in a.keys() - b: pass\n"),
    ("set-order", "timecoin/ledger/a.py", "def f(a: set[int]):\n    return list(a)\n"),
    ("set-order", "timecoin/ledger/a.py", "def f(a: frozenset[int] | None):\n    print(*a)\n"),
    ("set-order", "timecoin/ledger/a.py", "def f():\n    a = set()\n    return a.pop()\n"),
    ("set-order", "timecoin/ledger/a.py", "A = {1}\ndef f():\n    return [x for x in A]\n"),
    (
        "set-order",
        "timecoin/ledger/a.py",
        "class A:\n    def __init__(self):\n        self.seen = set()\n"
        "    def f(self):\n        return [x for x in self.seen]\n",
    ),
    ("set-order", "timecoin/ledger/a.py", "class A:\n  s: set[int]\n  def f(self): list(self.s)\n"),
    ("subscribe", "timecoin/node/build.py", "signals.subscribe(A, b)\n"),
    ("klein", "timecoin/node/tap.py", "from klein import Klein\n"),
    ("length", "timecoin/node/a.py", "x = 1\n" * 400 + "\n"),
    ("init-docstring", "timecoin/node/__init__.py", ""),
    ("init-docstring", "timecoin/node/__init__.py", '"""Doc."""\nfrom . import tap\n'),
    ("init-docstring", "timecoin/node/__init__.py", '"""Doc."""\n__version__ = "1"\n'),
    ("plain-names", "timecoin/node/peer_manager.py", ""),
    ("plain-names", "timecoin/node/a.py", "class PeerManager: pass\n"),
    ("plain-names", "timecoin/consensus/a.py", "class VoteEngine: pass\n"),
    ("swallowed-exception", "timecoin/cli/a.py", "try: f()\nexcept Exception: pass\n"),
    ("swallowed-exception", "timecoin/cli/a.py", "try: f()\nexcept: ...\n"),
)

SOUND: tuple[tuple[str, str], ...] = (
    ("timecoin/machine.py", "from timecoin.codec import Wire\n"),
    ("timecoin/chain/a.py", "from timecoin import __version__, params\nfrom .ports import X\n"),
    ("timecoin/chain/a.py", "from timecoin.ledger import check\nimport timecoin.finality.votes\n"),
    ("timecoin/p2p/peer.py", "from twisted.internet.protocol import Protocol\nx = 1 / 2\n"),
    ("timecoin/sync/service.py", "from twisted.internet import reactor\nimport time\n"),
    ("timecoin/sync/machine.py", "x = 0.5\n"),
    ("timecoin/store/rocks.py", "import os\nimport time\nclass RocksEngine: pass\n"),
    ("timecoin/mempool/a.py", "import random\nR = random.Random(1)\n"),
    ("timecoin/mempool/a.py", "from random import Random\nR = Random('a')\n"),
    ("timecoin/ledger/a.py", "from decimal import Decimal\nx = Decimal(1) / 3\n"),
    ("timecoin/ledger/a.py", "x = 3 // 2\nfor y in (1, 2): pass\n"),
    ("timecoin/ledger/a.py", "for y in sorted({2, 1}): pass\n"),
    ("timecoin/ledger/a.py", "s = {1}\nx = sum(y for y in s), {y for y in s}, 1 in s\n"),
    ("timecoin/ledger/a.py", "s = {1}\ns = sorted(s)\ndef f(s: list[int]): return list(s)\n"),
    ("timecoin/ledger/a.py", "def f(a: dict[int, int]): return [x for x in a]\n"),
    ("timecoin/ledger/a.py", "class A:\n  s: set[int]\n  def f(self, s): return list(s)\n"),
    ("timecoin/ledger/a.py", "class A:\n  s: set[int]\ndef f():\n  return list(s)\n"),
    ("timecoin/node/wiring.py", "signals.subscribe(A, b)\n"),
    ("timecoin/rpc/server.py", "from klein import Klein\n"),
    ("timecoin/node/a.py", "x = 1\n" * 400),
    ("timecoin/__init__.py", '"""Doc."""\n__version__ = "1"\n'),
    ("timecoin/cli/a.py", "try: f()\nexcept OSError: pass\n"),
)


class TreeTests(SynchronousTestCase):
    """The files as they are."""

    def test_every_rule_holds(self) -> None:
        found = [finding for module in modules(ROOT) for finding in findings(module, EXEMPT)]
        if found:
            self.fail("\n" + "\n".join(map(str, found)))

    def test_every_exemption_is_needed(self) -> None:
        needed = {
            (finding.rule, module.name)
            for module in modules(ROOT)
            for finding in findings(module, {})
        }
        self.assertEqual(sorted(EXEMPT.keys() - needed), [])

    def test_every_package_has_an_init(self) -> None:
        """Without one, trial passes over a folder of tests and says nothing."""
        folders = {
            path.parent
            for top in ("timecoin", "tests")
            for path in (ROOT / top).rglob("*.py")
            if "plugins" not in path.parts
        }
        missing = [folder for folder in folders if not (folder / "__init__.py").is_file()]
        self.assertEqual(sorted(map(str, missing)), [])

    def test_plugin_folder_stays_open(self) -> None:
        """An __init__.py there would hide Twisted's own plugins and those of other packages."""
        present = sorted(str(path) for path in (ROOT / "twisted").rglob("__init__.py"))
        self.assertEqual(present, [])


class RuleTests(SynchronousTestCase):
    """Each rule finds what breaks it, at its line, and passes what is sound."""

    def test_broken_code_is_found(self) -> None:
        for rule, path, code in BROKEN:
            found = findings(Module(path, code), {})
            last_line = max(1, code.count("\n"))
            where = [(finding.rule, finding.line) for finding in found]
            expected = 400 if rule == "length" else last_line
            self.assertIn((rule, expected), where, f"{path}: {code}")

    def test_sound_code_passes(self) -> None:
        for path, code in SOUND:
            found = findings(Module(path, code), {})
            self.assertEqual([str(finding) for finding in found], [], code)

    def test_every_rule_has_a_broken_example(self) -> None:
        self.assertEqual(sorted({rule for rule, _, _ in BROKEN}), sorted(RULES))

    def test_a_finding_names_file_line_and_rule(self) -> None:
        (finding,) = findings(Module("timecoin/ledger/a.py", "\nX = 0.5\n"), {})
        self.assertEqual(str(finding), "timecoin/ledger/a.py:2: exact-numbers: float literal 0.5")

    def test_exempted_rule_only(self) -> None:
        module = Module("timecoin/ledger/a.py", "import time\nX = 0.5\n")
        exempt = {("pure-imports", "timecoin.ledger.a"): "a reason"}
        self.assertEqual([f.rule for f in findings(module, exempt)], ["exact-numbers"])
