"""What a row is to reach: a floor, at times an ambition, and whether the medians reach them.

A goal is about one metric of the first contestant, as a ratio to another one's (by default the best of the others,
metric by metric), or as it is.
"""

import dataclasses

BEST = "the best other"
ITSELF = "itself"


@dataclasses.dataclass(frozen=True)
class Goal:
    metric: str
    floor: float
    ambition: float | None = None
    against: str = BEST            # a contestant's label, or BEST, or ITSELF: no ratio
    most: bool = False             # whether the floor is a ceiling

    def measured(self, row):
        own = row.median(row.contestants[0].label, self.metric)
        if own is None or self.against == ITSELF:
            return own
        other = row.median(self.rival(row), self.metric)
        return own / other if other else None

    def rival(self, row):
        """Whom it is measured against."""
        if self.against != BEST:
            return self.against
        values = {other.label: row.median(other.label, self.metric) for other in row.contestants[1:] if other.peer}
        values = {label: value for label, value in values.items() if value}
        return (min if self.most else max)(values, key=values.get, default=BEST)

    def verdict(self, row):
        value = self.measured(row)
        if value is None:
            return "not measured"
        if self.ambition is not None and self._reaches(value, self.ambition):
            return "ambition met"
        return "met" if self._reaches(value, self.floor) else "MISSED"

    def _reaches(self, value, bound):
        return value <= bound if self.most else value >= bound

    def wanted(self, unit=""):
        sign = "≤" if self.most else "≥"
        ambition = "" if self.ambition is None else f" (ambition {_short(self.ambition)})"
        times = "" if self.against == ITSELF else " ×"
        return f"{sign} {_short(self.floor)}{times}{unit}{ambition}"


def rate(floor, ambition=None, against=BEST):
    """At least so many times the other's rate."""
    return Goal("rate", floor, ambition, against)


def cpu(ceiling, against=BEST):
    """At most this share of the other's processor time for each request."""
    return Goal("cpu_us", ceiling, against=against, most=True)


def at_most(metric, ceiling, ambition=None):
    """The value itself, in the metric's unit."""
    return Goal(metric, ceiling, ambition, ITSELF, most=True)


def _short(value):
    return f"{value:g}"
