"""Charts over time: the numbers that a page shows as a picture and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from asyncjobs.app.series import NameSeries, QueueSeries

__all__ = ["SPANS", "Chart", "Column", "Mark", "SpanName", "name_charts", "queue_charts", "spark"]

SpanName = Literal["1h", "6h", "24h", "7d", "30d"]
"""How far a page of charts looks back."""

_HOUR = 3_600
_DAY = 24 * _HOUR

SPANS: Mapping[SpanName, tuple[int, int]] = {
    "1h": (_HOUR, 60),
    "6h": (6 * _HOUR, 300),
    "24h": (_DAY, _HOUR),
    "7d": (7 * _DAY, 3 * _HOUR),
    "30d": (30 * _DAY, 12 * _HOUR),
}
"""The seconds of each span, and those of each of its steps: a table beside a chart has a row for each step."""

# With what each span is compared, by its days.
_BEFORE = {1: "the day", 7: "the week", 30: "the 30 days"}

Values = Sequence[float | int | None]


class Column(NamedTuple):
    """One line of a chart, and one column of its table."""

    label: str
    """What it is."""
    values: Values
    """A value for each step, ``None`` where there is none."""
    kind: str = "main"
    """How it is drawn: ``main``, ``second``, ``bad`` or ``before``."""


class Mark(NamedTuple):
    """A time at which something changed."""

    at: datetime
    """The time."""
    label: str
    """What changed."""


class Chart(NamedTuple):
    """One chart."""

    id: str
    """Its id in the page."""
    title: str
    """What it shows."""
    unit: Literal["number", "ms"]
    """The unit of its values."""
    step_s: int
    """How long each step is, in seconds."""
    at: Sequence[datetime]
    """When each step began."""
    columns: Sequence[Column]
    """The lines."""

    @property
    def is_empty(self) -> bool:
        """Whether no line has a value."""
        return all(value is None for column in self.columns for value in column.values)

    @property
    def rows(self) -> Iterator[tuple[datetime, Values]]:
        """The rows of the table, latest first: a time and a value of each column."""
        values = zip(*(column.values for column in self.columns), strict=True)
        rows: list[tuple[datetime, Values]] = list(zip(self.at, values, strict=True))
        return reversed(rows)


def queue_charts(series: QueueSeries, before: QueueSeries, days: int) -> list[Chart]:
    """Return the charts of a queue, or of several together.

    Args:
        series: What they show.
        before: The same time so many days before, which may have longer steps.
        days: How many days.
    """
    # The last step has just begun, so it would look like a fall.
    end = -1 if len(series.at) > 2 else None
    ended = [sum(one) for one in zip(series.succeeded, series.failed, series.cancelled, strict=True)]
    earlier = Column(f"ended {_BEFORE[days]} before", _earlier(series, before, days), "before")

    def chart(name: str, title: str, unit: Literal["number", "ms"], *columns: Column) -> Chart:
        cut = [column._replace(values=column.values[:end]) for column in columns]
        return Chart(name, title, unit, series.step_s, _times(series.at[:end]), cut)

    return [
        chart(
            "ended",
            f"Jobs that came in and ended, each {_step(series.step_s)}",
            "number",
            Column("ended", ended),
            Column("came in", series.arrived, "second"),
            Column("died", series.failed, "bad"),
            earlier,
        ),
        chart(
            "depth",
            "Jobs in line, running and dead",
            "number",
            Column("in line", series.pending),
            Column("running", series.running, "second"),
            Column("dead", series.dead, "bad"),
        ),
        chart(
            "wait",
            "How long jobs waited",
            "ms",
            Column("95 % waited at most", series.p95_wait_ms),
            Column("oldest in line", series.oldest_wait_ms, "bad"),
        ),
        chart(
            "run",
            "How long attempts ran",
            "ms",
            Column("half ran at most", series.p50_run_ms),
            Column("95 % ran at most", series.p95_run_ms, "second"),
        ),
    ]


def name_charts(series: NameSeries) -> list[Chart]:
    """Return the charts of a job name."""
    at = _times(series.at)
    return [
        Chart(
            "ended",
            "Attempts, each hour; the last one isn't over",
            "number",
            _HOUR,
            at,
            [
                Column("completed", series.succeeded),
                Column("retried", series.retried, "second"),
                Column("died", series.failed, "bad"),
            ],
        ),
        Chart(
            "run",
            "How long attempts ran, and jobs waited",
            "ms",
            _HOUR,
            at,
            [
                Column("half ran at most", series.p50_run_ms),
                Column("95 % ran at most", series.p95_run_ms, "second"),
                Column("95 % waited at most", series.p95_wait_ms, "bad"),
            ],
        ),
    ]


def spark(values: Sequence[int], width: int = 90, height: int = 18) -> str:
    """Return the points of a polyline that shows ``values`` in a box of this size."""
    most = max([*values, 1])
    step = width / max(1, len(values) - 1)
    return " ".join(
        f"{number * step:.1f},{height - 1 - value / most * (height - 2):.1f}" for number, value in enumerate(values)
    )


def _earlier(series: QueueSeries, before: QueueSeries, days: int) -> Values:
    """Return how many jobs ended in each step so many days before, as a share of a longer step if there is no finer."""
    ended = [sum(one) for one in zip(before.succeeded, before.failed, before.cancelled, strict=True)]
    known = dict(zip(before.at, ended, strict=True))
    found: list[float | None] = []
    for at in series.at:
        one = known.get((at - days * _DAY) // before.step_s * before.step_s)
        found.append(None if one is None else one * series.step_s / before.step_s)
    return found if any(found) else [None] * len(found)


def _times(at: Sequence[int]) -> list[datetime]:
    return [datetime.fromtimestamp(one, UTC) for one in at]


def _step(seconds: int) -> str:
    if seconds < _HOUR:
        return "minute" if seconds == 60 else f"{seconds // 60} minutes"
    return "hour" if seconds == _HOUR else f"{seconds // _HOUR} hours"
