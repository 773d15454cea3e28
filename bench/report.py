"""The figures of a run as a table, as Markdown and as JSON."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.body import MIB
from bench.target import Sizes

FLOOR = "floor"
OURS = "ours"
# CPU is counted in ticks, one or two per cent of a full bulk load.
_TICK_TOLERANCE = 0.98


@dataclass(frozen=True)
class Metric:
    """One row; less is better in all of them."""

    key: str
    label: str
    unit: str


@dataclass
class Results:
    """Every figure measured, in the order of measuring; rows may stay empty."""

    servers: Sequence[str]
    turns: int = 1
    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    memory_kinds: set[str] = field(default_factory=set)

    def add(self, server: str, figures: Mapping[str, float]) -> None:
        for key, value in figures.items():
            self.figures.setdefault(key, {}).setdefault(server, []).append(value)

    def note(self, sentence: str) -> None:
        """Keep a sentence for the foot of the table, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def median(self, key: str, server: str) -> float | None:
        values = self.figures.get(key, {}).get(server)
        return statistics.median(values) if values else None


def metrics(sizes: Sizes, memory_kind: str) -> list[Metric]:
    """All rows in their order, labelled with the sizes of this run."""
    small = f"4 KiB, {sizes.connections} connections"
    crowd = f"{sizes.slow_uploads:,} slow uploads at once"
    chunked = f"{sizes.chunked_bytes // MIB} MiB in 5 MiB PATCHes"
    return [
        Metric("bulk_cpu", f"{sizes.bulk_bytes // MIB} MiB in one PATCH", "CPU s per GiB"),
        Metric("chunks_cpu", chunked, "CPU s per GiB"),
        Metric("small_two_cpu", f"{small}: POST then PATCH", "CPU ms per upload"),
        Metric("small_two_p99", f"{small}: POST then PATCH", "p99 ms per request"),
        Metric("small_one_cpu", f"{small}: one POST", "CPU ms per upload"),
        Metric("small_one_p99", f"{small}: one POST", "p99 ms per request"),
        Metric("head_cpu", f"HEAD, {sizes.connections} connections", "CPU ms"),
        Metric("head_p99", f"HEAD, {sizes.connections} connections", "p99 ms"),
        Metric("slow_memory", crowd, f"KiB of {memory_kind} each"),
        Metric("slow_cpu", crowd, "CPU s in all"),
        Metric("slow_post_p99", f"{crowd}: a new POST", "p99 ms"),
        Metric("slow_failed", crowd, "failed requests"),
        Metric("checksum_cpu", f"{chunked} with SHA-1", "CPU s per GiB"),
        Metric("checksum_ratio", f"{chunked} with SHA-1", "x (plain + hash alone)"),
        Metric("concat_cpu", f"4 x {sizes.chunked_bytes // MIB} MiB made one", "CPU s"),
        Metric("concat_wall", f"4 x {sizes.chunked_bytes // MIB} MiB made one", "s"),
        Metric("takeover_p99", "take-over of a silent connection", "p99 ms"),
        Metric("takeover_done", f"{sizes.takeovers} take-overs in a minute", "done"),
        Metric("takeover_lost", f"{sizes.takeovers} take-overs in a minute", "lost"),
    ]


def doubt_what_is_below_the_floor(results: Results, rows: Sequence[Metric]) -> None:
    """Note every median clearly under the floor's: no server can do with less than the floor."""
    for row in rows:
        least = results.median(row.key, FLOOR)
        for server in results.servers:
            value = results.median(row.key, server)
            if least is not None and value is not None and value < least * _TICK_TOLERANCE:
                results.note(
                    f"{server}, {row.label}: below the floor, which no server can be; the run was "
                    "too noisy or something is measured wrongly, so do not quote this ratio."
                )


def as_text(results: Results, rows: Sequence[Metric], facts: Sequence[str]) -> str:
    """The table for a terminal, then notes and facts, one line each."""
    table = _table(results, rows)
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    lines = [_padded(line, widths) for line in table]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, "", *results.notes, *facts])


def as_markdown(results: Results, rows: Sequence[Metric], facts: Sequence[str]) -> str:
    """The same for docs/performance.md."""
    header, *body = _table(results, rows)
    rule = ["---", "---", *["---:"] * (len(header) - 2)]
    lines = [f"| {' | '.join(line)} |" for line in (header, rule, *body)]
    return "\n".join([*lines, "", *(f"- {line}" for line in (*results.notes, *facts))])


def as_json(results: Results, rows: Sequence[Metric], facts: Sequence[str]) -> str:
    """Every single figure, for programs."""
    measured = [
        {"key": row.key, "label": row.label, "unit": row.unit, "figures": results.figures[row.key]}
        for row in rows
        if row.key in results.figures
    ]
    content = {"metrics": measured, "notes": results.notes, "facts": list(facts)}
    return json.dumps(content, indent=2)


def _table(results: Results, rows: Sequence[Metric]) -> list[list[str]]:
    columns = [*results.servers, FLOOR]
    table = [["load", "unit", *columns]]
    for row in rows:
        if row.key in results.figures:
            cells = [_cell(results, row.key, server) for server in columns]
            table.append([row.label, row.unit, *cells])
    return table


def _cell(results: Results, key: str, server: str) -> str:
    value = results.median(key, server)
    if value is None:
        return "" if server == FLOOR else "failed"
    ratios = [
        f"{value / reference:.2f} x {name}"
        for name in (OURS, FLOOR)
        if name != server != FLOOR and (reference := results.median(key, name))
    ]
    values = results.figures[key][server]
    shown = _figure(value) + _spread(values)
    if len(values) < results.turns:
        shown += f" only {len(values)} of {results.turns} turns"
    return f"{shown} ({', '.join(ratios)})" if ratios else shown


def _spread(values: Sequence[float]) -> str:
    low, high = _figure(min(values)), _figure(max(values))
    return f" [{low} to {high}]" if low != high else ""


def _figure(value: float) -> str:
    return f"{value:.0f}" if value == 0 or abs(value) >= 100 else f"{value:.3g}"


def _padded(line: Sequence[str], widths: Sequence[int]) -> str:
    words = [
        word.ljust(width) if column < 2 else word.rjust(width)
        for column, (word, width) in enumerate(zip(line, widths, strict=True))
    ]
    return "  ".join(words).rstrip()
