"""The report of a run: a CSV line for every reading, and a page that needs nothing else."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

from timecoin.cli.soak.measured import Row
from timecoin.cli.soak.plot import plot
from timecoin.cli.soak.reading import Reading
from timecoin.cli.soak.run import Record
from timecoin.cli.soak.series import difference, percentile, quantile
from timecoin.node.atomicfile import write_atomically

CSV_NAME = "soak.csv"
HTML_NAME = "soak.html"
COLUMNS = (
    "seconds",
    "node",
    "height",
    "tip_age_s",
    "peers",
    "problems",
    "rss_bytes",
    "cpu_s",
    "traffic_bytes",
    "pool_pending",
    "transactions_final",
    "log_errors",
    "scrape_ms",
)
WINDOWS = 60
"""Points of the plots of finality."""
STYLE = (
    "body{font:15px sans-serif;max-width:900px;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #ccc;padding:.3em .7em;"
    "text-align:left}svg{width:100%;height:auto;font:12px sans-serif}.t{font-weight:bold}"
    ".g{stroke:#ddd}.l{text-anchor:end}.m{text-anchor:middle}.bad{color:#b00}.good{color:#080}"
    "polyline{stroke-width:1.5}@media(prefers-color-scheme:dark){body{background:#181818;"
    "color:#ddd}td,th{border-color:#444}.g{stroke:#333}text{fill:#ccc}}"
)


def page(title: str, *plots: str) -> str:
    """An HTML page of ``plots``, as benchmarks write it."""
    head = f'<!doctype html><meta charset="utf-8"><title>{escape(title)}</title>'
    return "\n".join([f"{head}<style>{STYLE}</style>", f"<h1>{escape(title)}</h1>", *plots])


def write_csv(record: Record, path: Path) -> None:
    """All readings in order of time."""
    rows = sorted(
        (each for readings in record.readings.values() for each in readings),
        key=lambda each: each.at_s,
    )
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(_cells(each) for each in rows)


def _cells(each: Reading) -> tuple[object, ...]:
    return (
        f"{each.at_s:.3f}",
        each.node,
        each.height,
        f"{each.tip_age_s:.3f}",
        each.peers,
        " ".join(each.problems),
        int(each.rss_bytes),
        f"{each.cpu_s:.2f}",
        int(each.traffic_bytes),
        each.pool_pending,
        int(each.finality[float("inf")]),
        each.log_errors,
        f"{each.scrape_ms:.1f}",
    )


def write_html(
    record: Record, path: Path, what: str, targets: Sequence[Row], figures: Sequence[Row]
) -> None:
    """The page; ``what`` says in a line what was run."""
    found = list(record.findings.found.values())
    verdict = "nothing found" if not found else f"{len(found)} findings"
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>soak: {verdict}</title><style>{STYLE}</style>",
        f"<h1>Soak: {verdict}</h1><p>{escape(what)}</p>",
    ]
    if found:
        lines = "".join(f'<li class="bad">{escape(str(each))}</li>' for each in found)
        parts.append(f"<h2>Findings</h2><ul>{lines}</ul>")
    parts += [
        "<h2>Operating targets</h2>",
        _table(("", "target", "measured", ""), targets),
        *_plots(record),
        "<h2>Figures</h2>",
        _table(("", "", "measured", ""), figures),
        "</html>",
    ]
    write_atomically(path, "\n".join(parts).encode())


def _table(heads: Sequence[str], rows: Sequence[Row]) -> str:
    lines = ["<tr>" + "".join(f"<th>{escape(head)}</th>" for head in heads) + "</tr>"]
    for row in rows:
        mark = {True: '<td class="good">ok', False: '<td class="bad">missed', None: "<td>"}
        cells = "".join(f"<td>{escape(text)}</td>" for text in (row.name, row.target, row.measured))
        lines.append(f"<tr>{cells}{mark[row.good]}</td></tr>")
    return "<table>" + "".join(lines) + "</table>"


def _plots(record: Record) -> list[str]:
    nodes = record.readings
    lines = {
        name: [(each.at_s / 60, each.rss_bytes / 1e6) for each in readings]
        for name, readings in nodes.items()
    }
    plots = [plot("Memory", "MB", lines)]
    plots.append(
        plot(
            "CPU",
            "% of one processor",
            {
                name: [
                    (b.at_s / 60, 100 * (b.cpu_s - a.cpu_s) / (b.at_s - a.at_s))
                    for a, b in pairwise(readings)
                    if b.at_s > a.at_s and b.started_s == a.started_s
                ]
                for name, readings in nodes.items()
            },
        )
    )
    plots.append(
        plot(
            "Height",
            "blocks since the beginning",
            {
                name: [(each.at_s / 60, each.height - record.first_height) for each in readings]
                for name, readings in nodes.items()
            },
        )
    )
    plots.append(plot("Finality at the nodes, p95", "s", _finality(record)))
    if record.payments is not None:
        plots.append(plot("Payments to final", "s", _latencies(record)))
    return plots


def _finality(record: Record) -> dict[str, list[tuple[float, float]]]:
    found = {}
    for name, readings in record.readings.items():
        size = max(1, len(readings) // WINDOWS)
        edges = readings[::size]
        points = [
            (b.at_s / 60, quantile(difference(b.finality, a.finality), 0.95))
            for a, b in pairwise(edges)
            if a.started_s == b.started_s
        ]
        found[name] = [(x, y) for x, y in points if y is not None]
    return found


def _latencies(record: Record) -> dict[str, list[tuple[float, float]]]:
    assert record.payments is not None
    latencies = record.payments.latencies
    size = max(1, len(latencies) // WINDOWS)
    stretches = [latencies[start : start + size] for start in range(0, len(latencies), size)]
    found: dict[str, list[tuple[float, float]]] = {}
    for percent in (50, 95, 99):
        points = []
        for stretch in stretches:
            value = percentile([seconds for _, seconds in stretch], percent)
            assert value is not None  # no stretch is empty
            points.append((stretch[-1][0] / 60, value))
        found[f"p{percent}"] = points
    return found
