"""Who is linked with whom in a simulated network."""

from __future__ import annotations

from random import Random

SWAPS_PER_EDGE = 10


def random_regular(nodes: int, degree: int, rng: Random) -> list[tuple[int, int]]:
    """The edges of a random connected graph in which every node has ``degree`` neighbours.

    A ring in which each node knows the nearest ones, its edges then swapped in pairs, which keeps
    the degrees. ``ValueError`` when there is no such graph.
    """
    if not 2 <= degree < nodes or nodes * degree % 2:
        raise ValueError(f"no connected graph of {nodes} nodes with {degree} links each")
    while True:
        edges = _swapped(_ring(nodes, degree), rng)
        if _is_connected(nodes, edges):
            return sorted(edges)


def _ring(nodes: int, degree: int) -> list[tuple[int, int]]:
    steps = list(range(1, degree // 2 + 1))
    edges = [_edge(node, (node + step) % nodes) for step in steps for node in range(nodes)]
    if degree % 2:
        half = nodes // 2
        edges += [_edge(node, node + half) for node in range(half)]
    return list(dict.fromkeys(edges))


def _swapped(edges: list[tuple[int, int]], rng: Random) -> list[tuple[int, int]]:
    known = dict.fromkeys(edges)
    for _ in range(SWAPS_PER_EDGE * len(edges)):
        first, second = rng.randrange(len(edges)), rng.randrange(len(edges))
        (a, b), (c, d) = edges[first], edges[second]
        if rng.randrange(2):
            c, d = d, c
        one, other = _edge(a, d), _edge(c, b)
        if a == d or c == b or one in known or other in known or one == other:
            continue
        for old in (edges[first], edges[second]):
            del known[old]
        edges[first], edges[second] = one, other
        known.update(dict.fromkeys((one, other)))
    return edges


def _edge(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)


def _is_connected(nodes: int, edges: list[tuple[int, int]]) -> bool:
    neighbours: dict[int, list[int]] = {node: [] for node in range(nodes)}
    for one, other in edges:
        neighbours[one].append(other)
        neighbours[other].append(one)
    reached, frontier = {0: None}, [0]
    while frontier:
        for other in neighbours[frontier.pop()]:
            if other not in reached:
                reached[other] = None
                frontier.append(other)
    return len(reached) == nodes
