"""Counts what attempts come to, for the figures over time: gathered here, and sent every few seconds.

So the figures of runs, waits and names cost a job nothing in the broker, and little here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from asyncjobs.core.histogram import bucket_of
from asyncjobs.core.job import Job
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.ports import RunCounts

__all__ = ["RunCounter"]

# Of so many attempts of a name between two calls all go into the histograms, and of those behind them one of so many,
# which stands for the others: a histogram costs more than the counts. The latter is prime, so that it seldom keeps step
# with a pattern in what is sent.
_ALL_UP_TO = 500
_ONE_OF = 7


class _Counts:
    """Of one job name in one queue."""

    __slots__ = ("ended", "others", "run_us", "runs", "waits")

    def __init__(self) -> None:
        self.ended = self.run_us = 0
        #: Of those that have ended, what was not completed.
        self.others: defaultdict[Verdict, int] = defaultdict(int)
        self.runs: defaultdict[int, int] = defaultdict(int)
        self.waits: defaultdict[int, int] = defaultdict(int)


class RunCounter:
    """The attempts that have ended since the counts were last taken."""

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[str, str], _Counts] = defaultdict(_Counts)

    def count(self, job: Job, settlement: Settlement, *, is_first: bool) -> None:
        """Count an attempt that has ended, but for a job that is given back, which says nothing.

        Args:
            job: The job, as the attempt ran it.
            settlement: What it came to.
            is_first: Whether it was the job's first attempt, which alone tells how long the job had to wait.
        """
        counts = self._counts[job.queue, job.name]
        if settlement.verdict is not _COMPLETE:
            if settlement.verdict not in _OTHERS:
                return
            counts.others[settlement.verdict] += 1
        counts.ended += 1
        counts.run_us += settlement.duration_us
        weight = 1
        if counts.ended > _ALL_UP_TO:
            if counts.ended % _ONE_OF:
                return
            weight = _ONE_OF
        counts.runs[bucket_of(settlement.duration_us)] += weight
        # An id that its sender chose says nothing of when it was sent.
        if is_first and job.started_at_ms and (since_ms := max(job.created_at_ms, job.envelope.due_at_ms)):
            counts.waits[bucket_of(1_000 * (job.started_at_ms - since_ms))] += weight

    def take(self) -> Mapping[str, list[RunCounts]]:
        """Return what came to an end, by queue, and begin anew."""
        taken, self._counts = self._counts, defaultdict(_Counts)
        found: defaultdict[str, list[RunCounts]] = defaultdict(list)
        for (queue, name), one in taken.items():
            if not one.ended:
                continue
            counts = RunCounts(
                name=name,
                succeeded=one.ended - sum(one.others.values()),
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
