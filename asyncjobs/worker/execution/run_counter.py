"""Counts what attempts come to, for the figures over time: gathered here, and sent every few seconds.

So the figures of runs, waits and names cost a job nothing in the broker, and little here: what it came to is noted, and
counted later, together with many others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from asyncjobs.core.histogram import bucket_of
from asyncjobs.core.identity import time_of
from asyncjobs.core.settlement import Verdict
from asyncjobs.ports import RunCounts

__all__ = ["MAX_NOTED", "VALUES_A_NOTE", "RunCounter"]

#: How many attempts may be noted before they are to be counted, and what is noted of each.
MAX_NOTED = 1_000
VALUES_A_NOTE = 8

# Of so many attempts of a name between two calls all go into the histograms, and of those behind them one of so many,
# which stands for the others: a histogram costs more than the counts. The latter is prime, so that it seldom keeps step
# with a pattern in what is sent.
_ALL_UP_TO = 500
_ONE_OF = 7


class _Counts:
    """Of one job name in one queue."""

    __slots__ = ("ended", "others", "run_us", "runs", "succeeded", "waits")

    def __init__(self) -> None:
        self.ended = self.succeeded = self.run_us = 0
        self.others: defaultdict[Verdict, int] = defaultdict(int)
        self.runs: defaultdict[int, int] = defaultdict(int)
        self.waits: defaultdict[int, int] = defaultdict(int)


class RunCounter:
    """The attempts that have ended since the counts were last taken."""

    def __init__(self) -> None:
        #: Attempts that are not counted yet, one behind the other, so that no object is made for each. An attempt is
        #: its queue, name, verdict, duration in microseconds, id, and in Unix milliseconds: when the job was sent as
        #: its record says it, for when, and when its first attempt began; 0 for a later one.
        self.noted: list[Any] = []
        self._counts: defaultdict[tuple[str, str], _Counts] = defaultdict(_Counts)

    def count(self) -> None:
        """Count what was noted, but for jobs that are given back, which say nothing."""
        values = iter(self.noted)
        last_queue = last_name = ""
        counts = _Counts()
        for queue, name, verdict, duration_us, job_id, created_at_ms, due_at_ms, started_at_ms in zip(
            *(values,) * VALUES_A_NOTE, strict=True
        ):
            if name != last_name or queue != last_queue:
                counts, last_queue, last_name = self._counts[queue, name], queue, name
            if verdict is _COMPLETE:
                counts.succeeded += 1
            elif verdict in _OTHERS:
                counts.others[verdict] += 1
            else:
                continue
            counts.ended += 1
            counts.run_us += duration_us
            weight = 1
            if counts.ended > _ALL_UP_TO:
                if counts.ended % _ONE_OF:
                    continue
                weight = _ONE_OF
            counts.runs[bucket_of(duration_us)] += weight
            since_ms = max(created_at_ms or time_of(job_id), due_at_ms) if started_at_ms else 0
            if since_ms:
                counts.waits[bucket_of(1_000 * (started_at_ms - since_ms))] += weight
        self.noted.clear()

    def take(self) -> Mapping[str, list[RunCounts]]:
        """Return what came to an end, by queue, and begin anew."""
        self.count()
        taken, self._counts = self._counts, defaultdict(_Counts)
        found: defaultdict[str, list[RunCounts]] = defaultdict(list)
        for (queue, name), one in taken.items():
            if not one.ended:
                continue
            counts = RunCounts(
                name=name,
                succeeded=one.succeeded,
                **{field: one.others[verdict] for verdict, field in _OTHERS.items()},
                run_us=one.run_us,
                runs=dict(one.runs),
                waits=dict(one.waits),
            )
            found[queue].append(counts)
        return found


# Looked up once: it is compared with for each attempt.
_COMPLETE = Verdict.COMPLETE

_OTHERS = {
    Verdict.RETRY: "retried",
    Verdict.DEAD: "failed",
    Verdict.CANCEL: "cancelled",
}
