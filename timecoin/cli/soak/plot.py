"""Plots as SVG text: lines over time, axes with round numbers, nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 860, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 30, 44
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#7f7f7f")
TICKS = 5
MAX_POINTS = 1_000

Points = Sequence[tuple[float, float]]


def plot(title: str, unit: str, lines: Mapping[str, Points], across: str = "minutes") -> str:
    """An ``<svg>`` of ``lines`` by name; x is ``across``, y is in ``unit``, both begin at 0."""
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    most_x, most_y = max(xs, default=0.0) or 1.0, max(ys, default=0.0) or 1.0
    step_x, step_y = round_step(most_x), round_step(most_y)
    most_y = step_y * math.ceil(most_y / step_y)
    inner_w, inner_h = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + x / most_x * inner_w, TOP + inner_h - y / most_y * inner_h

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<text x="{LEFT}" y="18" class="t">{escape(title)}, {escape(unit)}</text>',
    ]
    for tick in _ticks(most_y, step_y):
        _, y = at(0, tick)
        parts.append(f'<path class="g" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="l" x="{LEFT - 6}" y="{y + 4:.1f}">{tick:g}</text>')
    for tick in _ticks(most_x, step_x):
        x, _ = at(tick, 0)
        parts.append(f'<text class="m" x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}">{tick:g}</text>')
    parts.append(
        f'<text class="m" x="{WIDTH / 2}" y="{HEIGHT - BOTTOM + 34}">{escape(across)}</text>'
    )
    for number, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = (at(x, y) for x, y in thinned(points))
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline fill="none" stroke="{colour}" points="{path}"/>')
        x = WIDTH - RIGHT - 120 * (len(lines) - number)
        parts.append(f'<text x="{x}" y="18" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"])


def thinned(points: Points) -> Points:
    """At most ``MAX_POINTS`` of them: the highest of each stretch, so that no peak is lost."""
    if len(points) <= MAX_POINTS:
        return points
    size = math.ceil(len(points) / MAX_POINTS)
    stretches = (points[start : start + size] for start in range(0, len(points), size))
    return [max(stretch, key=lambda point: point[1]) for stretch in stretches]


def round_step(most: float) -> float:
    """A step of 1, 2 or 5 times a power of ten that cuts ``most`` (above 0) into some five."""
    rough = most / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)


def _ticks(most: float, step: float) -> list[float]:
    return [step * number for number in range(math.floor(most / step * 1.001) + 1)]
