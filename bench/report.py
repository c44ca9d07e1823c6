"""Rounds, medians and the table.

The contestants of a row take turns, A B C A B C …: the machine's speed drifts by more than the gaps that matter, and
in turns the drift falls on all alike. A cell is the median of the rounds, which one disturbed round does not move,
with the smallest and largest beside it.
"""

import dataclasses
import fnmatch
import statistics
import subprocess
import sys
from collections.abc import Callable

from peers import Failed

TIE = 1.15

# key: (heading, whether more is better)
METRICS = {
    "rate": ("rate", True),
    "seconds": ("seconds", False),
    "start_ms": ("start ms", False),
    "p99_us": ("p99 µs", False),
    "max_ms": ("max ms", False),
    "cpu_us": ("CPU µs", False),
    "rss_mib": ("RSS MiB", False),
}


@dataclasses.dataclass
class Contestant:
    label: str
    measure: Callable[[], dict]


@dataclasses.dataclass
class Row:
    """One comparison; the first contestant is the one that is judged, by the metric `judge`."""

    name: str
    unit: str
    contestants: list
    judge: str
    bound: str
    rounds: int
    per: str = "request"
    samples: dict = dataclasses.field(default_factory=dict)

    def median(self, label, metric):
        values = self.values(label, metric)
        return statistics.median(values) if values else None

    def values(self, label, metric):
        return [sample[metric] for sample in self.samples.get(label, []) if metric in sample]

    def ratio(self, metric):
        """How many times better the first is than the best of the others by this metric; None where unknown."""
        more_is_better = METRICS[metric][1]
        own = self.median(self.contestants[0].label, metric)
        others = [self.median(other.label, metric) for other in self.contestants[1:]]
        others = [value for value in others if value]
        if not own or not others:
            return None
        return own / max(others) if more_is_better else min(others) / own

    def verdict(self):
        ratio = self.ratio(self.judge)
        if ratio is None:
            return "no peer" if len(self.contestants) == 1 else "not measured"
        return "ahead" if ratio >= TIE else "behind" if ratio <= 1 / TIE else "tie"


class Report:
    def __init__(self, patterns, out=sys.stderr):
        self.patterns, self.out = patterns, out
        self.rows, self.failures = [], []

    def wants(self, name):
        lower = name.lower()
        return not self.patterns or any(fnmatch.fnmatch(lower, f"*{p.lower()}*") for p in self.patterns)

    def measure(self, row):
        print(f"{row.name} …", end="", file=self.out, flush=True)
        for _ in range(row.rounds):
            for contestant in row.contestants:
                try:
                    row.samples.setdefault(contestant.label, []).append(contestant.measure())
                except (Failed, subprocess.TimeoutExpired) as failure:
                    self.failures.append(f"{row.name}, {contestant.label}: {failure}")
        self.rows.append(row)
        ratio = row.ratio(row.judge)
        shown = f" {ratio:.2f}× by {METRICS[row.judge][0]}" if ratio else ""
        print(f" {row.verdict()}{shown}", file=self.out, flush=True)

    def markdown(self, machine):
        parts = ["# hotbay beside its peers\n", *(f"- {line}" for line in machine), "", HOW, "", *self._summary(), ""]
        parts += ["| work | server | rate | p99 µs | max ms | CPU µs per request (per MiB) | RSS MiB | time "
                  "| hotbay against the best other | bound by |", "|" + "---|" * 10]
        for row in self.rows:
            parts += self._lines(row)
        if self.failures:
            parts += ["", "Not measured:", "", *(f"- {failure}" for failure in self.failures)]
        return "\n".join(parts) + "\n"

    def _summary(self):
        for verdict in ("ahead", "tie", "behind", "no peer", "not measured"):
            rows = [row for row in self.rows if row.verdict() == verdict]
            if rows:
                yield f"**{verdict}** ({len(rows)}): " + "; ".join(map(_judged, rows)) + "\n"

    def _lines(self, row):
        for place, contestant in enumerate(row.contestants):
            label = contestant.label
            if label not in row.samples:
                continue
            times = [f"{_cell(row, label, key)} {unit}" for key, unit in (("seconds", "s"), ("start_ms", "ms"))
                     if row.values(label, key)]
            rate = _cell(row, label, "rate")
            cells = [f"**{row.name}**" if place == 0 else "", label, f"{rate} {row.unit}" if rate else "",
                     *(_cell(row, label, key) for key in ("p99_us", "max_ms", "cpu_us", "rss_mib")),
                     ", ".join(times), _ratios(row) if place == 0 else "", row.bound if place == 0 else ""]
            yield "| " + " | ".join(cells) + " |"


HOW = """Medians with (smallest–largest) over the rounds; the servers take turns. A gap of less than 15 % is a tie. p99 and
max are the client's completion latencies. CPU is the server's, user and system, all its threads; RSS is its peak during
the measurement (files that are mapped count). Ratios above 1 are in hotbay's favour, in bold the one that is judged."""


def _judged(row):
    return f"{row.name} {row.ratio(row.judge):.2f}×" if row.ratio(row.judge) else row.name


def _ratios(row):
    shown = []
    for metric, (heading, _) in METRICS.items():
        ratio = row.ratio(metric)
        if ratio is None or metric == "seconds":
            continue
        text = f"{heading} {ratio:.2f}×"
        shown.append(f"**{text}: {row.verdict()}**" if metric == row.judge else text)
    return ", ".join(shown)


def _cell(row, label, metric):
    values = row.values(label, metric)
    if not values:
        return ""
    middle = _number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({_number(min(values))}–{_number(max(values))})"


def _number(value):
    if value >= 10000:
        return f"{value / 1000:.0f} k" if value >= 100000 else f"{value / 1000:.1f} k"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
