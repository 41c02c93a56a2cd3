"""Reads the source tree and tells where it breaks the rules of docs/architecture.rst.

The rules are tables at the top; every finding names its file, line and rule. Tests feed small
snippets through `findings` as well, so each rule is known to fail when it should.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.setorder import set_order

# Row 0 is at the bottom. A module imports only from rows below that of its own package.
ROWS: tuple[tuple[str, ...], ...] = (
    ("params", "codec", "machine", "signal", "recent"),
    ("crypto", "driver"),
    ("ledger", "p2p", "gossip"),
    ("masternodes", "mempool"),
    ("quorum",),
    ("finality", "consensus", "evidence"),
    ("chain", "light"),
    ("sync", "wallet"),
    ("store", "rpc", "explorer", "metrics", "client"),
    ("node",),
    ("sim",),
    ("cli",),
)
ROW_OF = {package: row for row, packages in enumerate(ROWS) for package in packages}

LAST_EXACT_ROW = 6  # no floats, no order that depends on PYTHONHASHSEED
LAST_PURE_ROW = 7  # no clock, entropy, files or threads but what is handed in

EDGES = {"p2p"}  # low in the rows since it knows no message's meaning, but its job is I/O
EDGE_IMPORTS = {"time", "asyncio", "threading", "twisted.internet.reactor"}  # not even there
IMPURE_IMPORTS = EDGE_IMPORTS | {
    "concurrent",
    "datetime",
    "io",
    "logging",
    "multiprocessing",
    "nacl.utils",
    "os",
    "pathlib",
    "secrets",
    "select",
    "shutil",
    "socket",
    "subprocess",
    "tempfile",
    "twisted",
    "uuid",
}
IMPURE_CALLS = {"open", "input", "print"}

MAX_LINES = 400
VAGUE_WORDS = {"manager", "handler", "processor", "engine", "util", "utils", "helper", "helpers"}
VAGUE_WORDS |= {"common", "base"}
TERMS_OF_THE_FIELD = {"store": {"engine"}}  # by package

# What is allowed against a rule, and why. The test fails for an entry that is no longer needed.
EXEMPT: dict[tuple[str, str], str] = {
    ("exact-numbers", "timecoin.driver"): "Twisted's clocks count in seconds",
    ("pure-imports", "timecoin.wallet.walletfile"): "its job is a file",
    ("pure-imports", "timecoin.wallet.keystore"): "names the path of its file",
}


@dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.detail}"


class Module:
    """One source file: its dotted name, its text and its syntax tree."""

    def __init__(self, path: str, text: str) -> None:
        """``path`` is relative to the folder that holds timecoin/."""
        self.path = path
        self.text = text
        self.tree = ast.parse(text, path)
        parts = Path(path).with_suffix("").parts
        self.is_init = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if self.is_init else parts)
        self.package = self.name.split(".")[1] if "." in self.name else ""
        self.row = ROW_OF.get(self.package)

    def is_pure(self) -> bool:
        """Whether this module may only know what it is handed."""
        in_core = self.row is not None and self.row <= LAST_PURE_ROW
        return in_core and self.package not in EDGES and not self.is_service()

    def is_service(self) -> bool:
        """Whether this is the thin Twisted shell of a package."""
        return self.name.endswith(".service")

    def is_exact(self) -> bool:
        """Whether consensus depends on this module's arithmetic and order."""
        return self.is_pure() and self.row is not None and self.row <= LAST_EXACT_ROW

    def imports(self) -> Iterator[tuple[int, str]]:
        """Every imported name with its line; of ``from a import b`` it is ``a.b``."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                origin = self._absolute(node)
                yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        kept = parts[: len(parts) - node.level + self.is_init]
        return ".".join([*kept, node.module] if node.module else kept)


Rule = Callable[[Module], Iterator[tuple[int, str]]]


def _within(name: str, packages: set[str]) -> bool:
    """Whether ``name`` is one of ``packages`` or stands inside one."""
    parts = name.split(".")
    return any(".".join(parts[: n + 1]) in packages for n in range(len(parts)))


def rows(module: Module) -> Iterator[tuple[int, str]]:
    if not module.package:
        return
    if module.row is None:
        yield 1, f"package {module.package} has no row"
        return
    for line, name in module.imports():
        target = name.split(".")[1] if name.startswith("timecoin.") else ""
        if target not in ROW_OF or target == module.package or ROW_OF[target] < module.row:
            continue
        if module.row == 0 == ROW_OF[target]:
            continue  # row 0 is single files, one ground to stand on
        where = f"row {ROW_OF[target]}" if ROW_OF[target] > module.row else "its own row"
        yield line, f"{module.package} (row {module.row}) imports {target} of {where}"


def pure_imports(module: Module) -> Iterator[tuple[int, str]]:
    if module.row is None or module.row > LAST_PURE_ROW:
        return
    forbidden = IMPURE_IMPORTS if module.is_pure() else EDGE_IMPORTS
    if module.is_service():
        return
    for line, name in module.imports():
        if _within(name, forbidden):
            yield line, f"{name}: clock, entropy, files and threads are handed in"


def pure_calls(module: Module) -> Iterator[tuple[int, str]]:
    if not module.is_pure():
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in IMPURE_CALLS:
                yield node.lineno, f"{node.func.id}() in a module that does no I/O"


def seeded_random(module: Module) -> Iterator[tuple[int, str]]:
    """Only `random.Random`, and never without a seed: that would take one from the system."""
    if module.row is None or module.is_service():
        return
    if module.row <= LAST_PURE_ROW:
        for line, name in module.imports():
            if name.startswith("random.") and name != "random.Random":
                yield line, f"{name}: take a seeded random.Random as an argument"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and _dotted(node).startswith("random."):
                if node.attr != "Random":
                    yield node.lineno, f"random.{node.attr}: take a seeded random.Random"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and _dotted(node.func) in ("Random", "random.Random"):
            if not node.args:
                yield node.lineno, "Random() without a seed"


def _dotted(node: ast.expr) -> str:
    """``a.b.c`` for a chain of names, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        origin = _dotted(node.value)
        return f"{origin}.{node.attr}" if origin else ""
    return ""


def exact_numbers(module: Module) -> Iterator[tuple[int, str]]:
    if not module.is_exact():
        return
    # Decimal's division is exact to its context, so true division is fine where it is used.
    decimal = any(_within(name, {"decimal"}) for _, name in module.imports())
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield node.lineno, f"float literal {node.value!r}"
        elif isinstance(node, ast.Call) and _dotted(node.func) == "float":
            yield node.lineno, "float()"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            if not decimal:
                yield node.lineno, "true division gives a float; use //"


def hash_builtin(module: Module) -> Iterator[tuple[int, str]]:
    if not module.is_exact():
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and _dotted(node.func) == "hash":
            yield node.lineno, "hash() differs from process to process"


def subscribe(module: Module) -> Iterator[tuple[int, str]]:
    if module.name == "timecoin.node.wiring":
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "subscribe":
                yield node.lineno, "signals are joined in node/wiring.py only"


def klein(module: Module) -> Iterator[tuple[int, str]]:
    if module.package in ("rpc", "explorer"):
        return
    for line, name in module.imports():
        if _within(name, {"klein"}):
            yield line, "importing klein installs the global reactor; only rpc and explorer may"


def length(module: Module) -> Iterator[tuple[int, str]]:
    lines = module.text.count("\n")
    if lines > MAX_LINES:
        yield MAX_LINES, f"{lines} lines; split it ({MAX_LINES} at most)"


def init_is_docstring(module: Module) -> Iterator[tuple[int, str]]:
    if not module.is_init:
        return
    if ast.get_docstring(module.tree) is None:
        yield 1, "an __init__.py says what its package is for"
    for node in module.tree.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if module.name == "timecoin" and isinstance(node, ast.Assign):
            if [_dotted(target) for target in node.targets] == ["__version__"]:
                continue
        yield node.lineno, "an __init__.py holds a docstring only"


def plain_names(module: Module) -> Iterator[tuple[int, str]]:
    vague = VAGUE_WORDS - TERMS_OF_THE_FIELD.get(module.package, set())
    for word in module.name.split(".")[-1].split("_"):
        if word in vague:
            yield 1, f"module {module.name}: say what it is, not {word!r}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef):
            for word in re.findall(r"[A-Z][a-z0-9]*", node.name):
                if word.lower() in vague:
                    yield node.lineno, f"class {node.name}: say what it is, not {word!r}"


def swallowed(module: Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler) and all(map(_is_idle, node.body)):
            if node.type is None or _dotted(node.type) in ("Exception", "BaseException"):
                yield node.lineno, "an exception of any kind is swallowed"


def _is_idle(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def set_iteration(module: Module) -> Iterator[tuple[int, str]]:
    if module.is_exact():
        yield from set_order(module.tree)


RULES: dict[str, Rule] = {
    "rows": rows,
    "pure-imports": pure_imports,
    "pure-calls": pure_calls,
    "seeded-random": seeded_random,
    "exact-numbers": exact_numbers,
    "hash-builtin": hash_builtin,
    "set-order": set_iteration,
    "subscribe": subscribe,
    "klein": klein,
    "length": length,
    "init-docstring": init_is_docstring,
    "plain-names": plain_names,
    "swallowed-exception": swallowed,
}


def findings(module: Module, exempt: dict[tuple[str, str], str]) -> list[Finding]:
    """Every break of a rule in ``module`` that ``exempt`` does not excuse, in order of lines."""
    return sorted(
        Finding(module.path, line, name, detail)
        for name, rule in RULES.items()
        if (name, module.name) not in exempt
        for line, detail in rule(module)
    )


def modules(root: Path) -> list[Module]:
    """All modules of the timecoin package below ``root``, sorted by path."""
    paths = sorted(path.relative_to(root) for path in (root / "timecoin").rglob("*.py"))
    return [Module(str(path), (root / path).read_text("utf-8")) for path in paths]
