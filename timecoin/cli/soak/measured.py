"""What a run has measured, beside the operating targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from timecoin.cli.soak.findings import SHORT_RUN_S, cpu_percent, megabits, memory_slope
from timecoin.cli.soak.reading import Reading
from timecoin.cli.soak.run import Record
from timecoin.cli.soak.series import Buckets, difference, merged, percentile, quantile

MEMORY_MB = 200
IDLE_CPU_PERCENT = 5
IDLE_MBIT = 1
BLOCK_DELAY_S = 2
FINALITY_S = 5
OWN_FINALITY_S = 0.5
CALL_MS = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: its target, what was measured, and whether that is good; None: neither."""

    name: str
    target: str
    measured: str
    good: bool | None


def targets(record: Record, idle_s: float) -> list[Row]:
    """The operating targets beside what ``record`` holds; ``idle_s``: its part without payments."""
    everything = list(record.readings.values())
    idle = [[each for each in readings if each.at_s <= idle_s] for readings in everything]
    memory = [max(each.rss_bytes for each in readings) / 1e6 for readings in everything if readings]
    calls = percentile(record.calls_ms, 95)
    delay = quantile(_counted(everything, lambda each: each.block_delay), 0.95)
    finality = quantile(_counted(everything, lambda each: each.finality), 0.95)
    return [
        _row("memory of a node, most", f"under {MEMORY_MB} MB", _most(memory), "MB", MEMORY_MB),
        _row(
            "CPU of a node, idle",
            f"under {IDLE_CPU_PERCENT} %",
            _most([cpu_percent(each) for each in idle]),
            "%",
            IDLE_CPU_PERCENT,
        ),
        _row(
            "bandwidth of a node, idle",
            f"under {IDLE_MBIT} Mbit/s",
            _most([megabits(each) for each in idle]),
            "Mbit/s",
            IDLE_MBIT,
        ),
        _row(
            "block after its slot began, p95",
            f"within {BLOCK_DELAY_S} s",
            delay,
            "s",
            BLOCK_DELAY_S,
        ),
        _row("finality, p95", f"under {FINALITY_S} s", finality, "s", FINALITY_S),
        _row("finality, p95, our own", f"under {OWN_FINALITY_S} s", finality, "s", OWN_FINALITY_S),
        _row("RPC, p95", f"under {CALL_MS} ms", calls, "ms", CALL_MS),
    ]


def figures(record: Record) -> list[Row]:
    """Further figures that have no target."""
    everything = list(record.readings.values())
    rows = [
        Row("blocks compared", "", f"{record.blocks} from {record.first_height}", None),
    ]
    finality = _counted(everything, lambda each: each.finality)
    for share in (0.5, 0.95, 0.99):
        rows.append(_plain(f"finality at the nodes, p{share * 100:.0f}", quantile(finality, share)))
    if record.payments is not None:
        taken = [seconds for _, seconds in record.payments.latencies]
        span_s = record.paying_until_s - record.paying_from_s
        rate = f"{record.payments.begun / span_s:.1f} a second" if span_s > 0 else ""
        rows.append(Row("payments", "", f"{record.payments.begun}, {rate}", None))
        rows += [
            _plain(
                f"payment to final as its sender sees it, p{percent}", percentile(taken, percent)
            )
            for percent in (50, 95, 99)
        ]
    for name, readings in record.readings.items():
        if not readings:
            continue
        first, last = readings[0].rss_bytes / 1e6, readings[-1].rss_bytes / 1e6
        text = f"{first:.0f} to {last:.0f} MB"
        if readings[-1].at_s - readings[0].at_s >= SHORT_RUN_S:
            text += f", later half {memory_slope(readings) / 1e6:+.1f} MB an hour"
        rows.append(Row(f"memory of {name}", "", text, None))
        used = cpu_percent(readings)
        if used is not None:
            rows.append(Row(f"CPU of {name}, whole run", "", f"{used:.1f} %", None))
    return rows


def _counted(everything: Sequence[list[Reading]], of: Callable[[Reading], Buckets]) -> Buckets:
    """What the histograms of all nodes have counted during the run."""
    return merged(
        [
            difference(of(readings[-1]), of(readings[0]))
            for readings in everything
            if readings and readings[0].started_s == readings[-1].started_s
        ]
    )


def _most(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known, default=None)


def _row(name: str, target: str, value: float | None, unit: str, limit: float) -> Row:
    if value is None:
        return Row(name, target, "not measured", None)
    return Row(name, target, f"{value:.3g} {unit}", value <= limit)


def _plain(name: str, value_s: float | None) -> Row:
    return Row(name, "", "not measured" if value_s is None else f"{value_s:.3f} s", None)
