"""Finds code whose outcome depends on the order of a set, which changes with PYTHONHASHSEED.

A set is recognised by what is written: a display, a comprehension, a call of ``set`` or
``frozenset``, an operation on one, or a name or attribute that the same file declares or assigns
as one. Iterating is fine where order cannot show: inside ``sorted``, ``sum``, ``min``, ``len``, a
set comprehension and the like.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

SET_MAKERS = {"set", "frozenset"}
SET_TYPES = SET_MAKERS | {"Set", "AbstractSet", "MutableSet", "FrozenSet"}
SET_METHODS = {"union", "intersection", "difference", "symmetric_difference"}
ORDER_FREE = {"sorted", "sum", "min", "max", "any", "all", "len", "bool"} | SET_MAKERS
ORDERED = {"list", "tuple", "iter", "enumerate", "zip", "map", "filter", "join", "extend", "next"}

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Scope = ast.Module | ast.ClassDef | _Function


def set_order(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines where a set's order gets out, and how."""
    attributes = _set_attributes(tree)
    yield from _Reader(attributes, set()).read(tree)


def _set_attributes(tree: ast.Module) -> set[str]:
    """Attributes that any class of the file declares or assigns as sets."""
    found = set()
    for node in ast.walk(tree):
        for target, annotation, value in _assignments(node):
            if isinstance(target, ast.Attribute) and _is_declared(annotation, value):
                found.add(target.attr)
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    if _is_set_type(line.annotation):
                        found.add(line.target.id)
    return found


def _assignments(
    node: ast.AST,
) -> Iterator[tuple[ast.expr, ast.expr | None, ast.expr | None]]:
    if isinstance(node, ast.Assign):
        yield from ((target, None, node.value) for target in node.targets)
    elif isinstance(node, ast.AnnAssign):
        yield node.target, node.annotation, node.value


def _is_declared(annotation: ast.expr | None, value: ast.expr | None) -> bool:
    if annotation is not None:
        return _is_set_type(annotation)
    return value is not None and _Reader(set(), set()).is_set(value)


def _is_set_type(annotation: ast.expr) -> bool:
    if isinstance(annotation, ast.Subscript):
        annotation = annotation.value
    if isinstance(annotation, ast.BinOp):  # a union such as `set[int] | None`
        return _is_set_type(annotation.left) or _is_set_type(annotation.right)
    if isinstance(annotation, ast.Attribute):
        return annotation.attr in SET_TYPES
    return isinstance(annotation, ast.Name) and annotation.id in SET_TYPES


class _Reader:
    """Reads one scope; names of outer scopes, but classes, are known in inner ones."""

    def __init__(self, attributes: set[str], names: set[str]) -> None:
        self.attributes = attributes
        self.names = names

    def read(self, scope: _Scope) -> Iterator[tuple[int, str]]:
        inner = list(_own_nodes(scope))
        outer = self.names
        self.names = self._names(scope, inner)
        order_free = {
            id(argument)
            for node in inner
            if isinstance(node, ast.Call) and _called(node) in ORDER_FREE
            for argument in node.args
        }
        for node in inner:
            if isinstance(node, _Scope):
                known = outer if isinstance(scope, ast.ClassDef) else self.names
                yield from _Reader(self.attributes, known).read(node)
            else:
                yield from self._leaks(node, order_free)

    def _names(self, scope: _Scope, inner: list[ast.AST]) -> set[str]:
        names = set(self.names)
        if isinstance(scope, _Function):
            spec = scope.args
            for argument in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs):
                names.discard(argument.arg)
                if argument.annotation is not None and _is_set_type(argument.annotation):
                    names.add(argument.arg)
        for node in inner:
            for target, annotation, value in _assignments(node):
                if isinstance(target, ast.Name):
                    names.discard(target.id)
                    if _is_declared(annotation, value):
                        names.add(target.id)
        return names

    def _leaks(self, node: ast.AST, order_free: set[int]) -> Iterator[tuple[int, str]]:
        if isinstance(node, ast.For | ast.AsyncFor) and self.is_set(node.iter):
            yield node.lineno, f"iterates over the set {ast.unparse(node.iter)}"
        elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp):
            if id(node) not in order_free:
                for part in node.generators:
                    if self.is_set(part.iter):
                        yield node.lineno, f"iterates over the set {ast.unparse(part.iter)}"
        elif isinstance(node, ast.Starred) and self.is_set(node.value):
            yield node.lineno, f"unpacks the set {ast.unparse(node.value)}"
        elif isinstance(node, ast.Call):
            yield from self._leaking_call(node, order_free)

    def _leaking_call(self, node: ast.Call, order_free: set[int]) -> Iterator[tuple[int, str]]:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "pop" and not node.args:
            if self.is_set(node.func.value):
                yield node.lineno, f"takes any member of the set {ast.unparse(node.func.value)}"
        if _called(node) in ORDERED and id(node) not in order_free:
            for argument in node.args:
                if self.is_set(argument):
                    yield node.lineno, f"{_called(node)}() of the set {ast.unparse(argument)}"

    def is_set(self, node: ast.expr) -> bool:
        """Whether ``node`` is written as a set or known to be one."""
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Name():
                return node.id in self.names
            case ast.Attribute():
                return node.attr in self.attributes
            case ast.IfExp():
                return self.is_set(node.body) or self.is_set(node.orelse)
            case ast.BinOp(op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
                sides = (node.left, node.right)
                return any(self.is_set(side) or _is_keys_call(side) for side in sides)
            case ast.Call(func=ast.Name()):
                return _called(node) in SET_MAKERS
            case ast.Call(func=ast.Attribute(value=origin, attr=attribute)):
                return attribute in SET_METHODS and self.is_set(origin)
        return False


def _is_keys_call(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _called(node) in ("keys", "items") and not node.args


def _called(node: ast.Call) -> str:
    """The last name of what is called: ``join`` of ``", ".join(...)``."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _own_nodes(scope: _Scope) -> Iterator[ast.AST]:
    """Nodes of a scope; of inner functions only the node itself."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, _Scope):
            waiting.extend(ast.iter_child_nodes(node))
