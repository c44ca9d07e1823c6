"""Rounds, medians and the tables.

The contestants of a row take turns, A B C A B C …: the machine's speed drifts by more than the gaps that matter, and
in turns the drift falls on all alike. A cell is the median of the rounds, which one disturbed round does not move,
with the smallest and largest beside it.
"""

import dataclasses
import fnmatch
import os
import statistics
import subprocess
import sys
from collections.abc import Callable

import bounds
from goals import ITSELF
from peers import Failed

TIE = 1.15

# key: (heading, unit, whether more is better)
METRICS = {
    "rate": ("rate", "", True),
    "seconds": ("seconds", " s", False),
    "start_ms": ("start", " ms", False),
    "p99_us": ("p99", " µs", False),
    "max_ms": ("max", " ms", False),
    "cpu_us": ("CPU", " µs", False),
    "rss_mib": ("RSS", " MiB", False),
    "session_kib": ("RSS of a session", " KiB", False),
    "extent_bytes": ("RSS of an extent", " bytes", False),
}
RATIOS = ("rate", "p99_us", "max_ms", "start_ms", "cpu_us", "rss_mib")


@dataclasses.dataclass
class Contestant:
    label: str
    measure: Callable[[], dict]
    warm: Callable[[], object] | None = None    # once, before the rounds
    peer: bool = True                           # whether the goals compare with it where they name nobody


@dataclasses.dataclass
class Row:
    """One comparison; the first contestant is the one that is judged."""

    name: str
    unit: str
    contestants: list
    waits_for: str             # what bounds it where no processor does
    rounds: int
    goals: tuple = ()
    client: str = ""
    sessions: int = 1
    per: str = "request"
    note: str = ""             # what the contestants do not do alike
    samples: dict = dataclasses.field(default_factory=dict)

    def median(self, label, metric):
        values = self.values(label, metric)
        return statistics.median(values) if values else None

    def values(self, label, metric):
        return [sample[metric] for sample in self.samples.get(label, []) if metric in sample]

    def ratio(self, metric):
        """How many times better the first is than the best of its peers by this metric; None where unknown."""
        more_is_better = METRICS[metric][2]
        own = self.median(self.contestants[0].label, metric)
        others = [self.median(other.label, metric) for other in self.contestants[1:] if other.peer]
        others = [value for value in others if value]
        if not own or not others:
            return None
        return own / max(others) if more_is_better else min(others) / own


class Report:
    def __init__(self, patterns, out=sys.stderr):
        self.patterns, self.out = patterns, out
        self.rows, self.failures = [], []

    def wants(self, name):
        lower = name.lower()
        return not self.patterns or any(fnmatch.fnmatch(lower, f"*{p.lower()}*") for p in self.patterns)

    def measure(self, row):
        print(f"{row.name} …", end="", file=self.out, flush=True)
        for contestant in row.contestants:
            if contestant.warm:
                self._try(row, contestant, contestant.warm)
        for _ in range(row.rounds):
            for contestant in row.contestants:
                sample = self._try(row, contestant, contestant.measure)
                if sample is not None:
                    row.samples.setdefault(contestant.label, []).append(sample)
        self.rows.append(row)
        said = [f"{METRICS[goal.metric][0]} {_number(goal.measured(row))} {goal.verdict(row)}"
                for goal in row.goals if goal.measured(row) is not None]
        print(f" {', '.join(said) or 'done'}", file=self.out, flush=True)

    def _try(self, row, contestant, act):
        try:
            return act()
        except (Failed, subprocess.TimeoutExpired) as failure:
            self.failures.append(f"{row.name}, {contestant.label}: {failure}")
            return None

    def markdown(self, machine):
        parts = ["# hotbay beside its peers\n", *(f"- {line}" for line in machine), "", HOW, ""]
        if self.failures:
            parts += ["## Not measured", "", *(f"- {failure}" for failure in self.failures), ""]
        parts += ["## What was to be reached", "", *self._goals(), "", "## The figures", ""]
        parts += ["| work | client | server | rate | p99 µs | max ms | CPU µs per request (per MiB) | server cores "
                  "| client cores | RSS MiB | other | hotbay against the best peer |", "|" + "---|" * 12]
        for row in self.rows:
            parts += self._lines(row)
        parts += ["", "## What bounds each row", ""]
        parts += [f"- **{row.name}**: {bounds.sentence(row, os.cpu_count())}{'. ' + row.note if row.note else ''}."
                  for row in self.rows]
        return "\n".join(parts) + "\n"

    def _goals(self):
        judged = [(row, goal) for row in self.rows for goal in row.goals]
        counts = [f"{count} {verdict}" for verdict in ("MISSED", "met", "ambition met", "not measured")
                  if (count := sum(goal.verdict(row) == verdict for row, goal in judged))]
        yield f"{len(judged)} goals: {', '.join(counts) or 'none'}.\n"
        yield "| work | what | against | wanted | measured | |"
        yield "|" + "---|" * 6
        for row, goal in judged:
            heading, unit, _ = METRICS[goal.metric]
            unit = unit if goal.against == ITSELF else ""
            value, verdict = goal.measured(row), goal.verdict(row)
            against = "" if goal.against == ITSELF else goal.rival(row)
            cells = [row.name, heading, against, goal.wanted(unit),
                     "" if value is None else f"{_ratio(value)} ×" if not unit else f"{_number(value)}{unit}",
                     f"**{verdict}**" if verdict == "MISSED" else verdict]
            yield "| " + " | ".join(cells) + " |"

    def _lines(self, row):
        for place, contestant in enumerate(row.contestants):
            label = contestant.label
            if label not in row.samples:
                continue
            others = [f"{_cell(row, label, key)}{METRICS[key][1]} {word}".strip()
                      for key, word in (("seconds", ""), ("start_ms", "to start"), ("session_kib", "a session"),
                                        ("extent_bytes", "an extent")) if row.values(label, key)]
            rate = _cell(row, label, "rate")
            cells = [f"**{row.name}**" if place == 0 else "", row.client if place == 0 else "", label,
                     f"{rate} {row.unit}" if rate else "",
                     *(_cell(row, label, key) for key in ("p99_us", "max_ms", "cpu_us")),
                     *(_middle(row, label, key) for key in ("server_cores", "client_cores")),
                     _cell(row, label, "rss_mib"), ", ".join(others), _ratios(row) if place == 0 else ""]
            yield "| " + " | ".join(cells) + " |"


HOW = """How to read it. A cell is the median with (smallest–largest) over the rounds; the servers take turns. A gap of
less than 15 % is a tie. p99 and max are the client's completion latencies. CPU is the server's, user and system, all
its threads; server cores and client cores are processor seconds per second of the load. RSS is the server's peak during
the measurement (files that are mapped count). Ratios in the last column are above 1 where hotbay is better. In the table
of goals they are hotbay's figure divided by the other's: CPU is to be small."""


def _ratios(row):
    shown = []
    for metric in RATIOS:
        ratio = row.ratio(metric)
        if ratio is not None:
            tie = " (tie)" if 1 / TIE < ratio < TIE else ""
            shown.append(f"{METRICS[metric][0]} {_ratio(ratio)}×{tie}")
    return ", ".join(shown)


def _ratio(value):
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _middle(row, label, metric):
    value = row.median(label, metric)
    return "" if value is None else f"{value:.2f}"


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
