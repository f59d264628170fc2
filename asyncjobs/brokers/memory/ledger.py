"""What the jobs of one queue came to: counters, histograms of durations, and how the last jobs ended."""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence

from asyncjobs.brokers.memory.lapsing import Lapsing
from asyncjobs.brokers.memory.periods import Periods
from asyncjobs.core.histogram import bucket_of
from asyncjobs.core.retention import HISTORY_KEEP_MS, MAX_HISTORY, MAX_TENANT_HISTORY, MINUTE_MS, MINUTES_KEEP_MS
from asyncjobs.core.settlement import HistoryEntry, Settlement, Verdict, read_history
from asyncjobs.ports import GaugeReading, NameHour, RunCounts, Series, Step, TenantFigures

__all__ = ["Ledger", "Tally"]

# Constants, since Python 3.11 looks up the members of an enumeration slowly, and this code runs for each job.
_COMPLETE, _CANCEL, _DEAD, _RETRY = Verdict.COMPLETE, Verdict.CANCEL, Verdict.DEAD, Verdict.RETRY


class Tally:
    """How many jobs ended or were retried, and how long they ran."""

    __slots__ = ("counts", "histogram")

    def __init__(self) -> None:
        self.counts: defaultdict[str, int] = defaultdict(int)
        """The counters, by the names that the figures have."""
        self.histogram: defaultdict[int, int] = defaultdict(int)
        """The durations of completed jobs, as in ``core.histogram``."""

    def add(self, one: Settlement) -> None:
        """Count one job."""
        verdict, counts = one.verdict, self.counts
        if verdict is _COMPLETE:
            counts["succeeded"] += 1
            counts["duration_us"] += one.duration_us
            self.histogram[bucket_of(one.duration_us)] += 1
        elif verdict is _RETRY:
            counts["retried"] += 1
        elif verdict is _DEAD:
            counts["failed"] += 1
        elif verdict is _CANCEL:
            counts["cancelled"] += 1


class _Account:
    """What the jobs of one tenant came to."""

    __slots__ = ("ends", "tally")

    def __init__(self) -> None:
        self.tally = Tally()
        self.ends: deque[bytes] = deque(maxlen=MAX_TENANT_HISTORY)


class Ledger:
    """The totals of a queue, its figures over time and by tenant, and how the last jobs of each name ended."""

    __slots__ = ("_ends", "_minute", "_minutes", "_periods", "_tenants", "total")

    def __init__(self) -> None:
        self.total = Tally()
        # The totals at the first count of each minute. The figures of a minute are the difference to the next totals.
        self._minutes: dict[int, dict[str, int]] = {}
        self._minute = 0
        self._periods = Periods()
        # The latest end is the last, as in the account of a tenant.
        self._ends: Lapsing[str, deque[bytes]] = Lapsing()
        self._tenants: Lapsing[str, _Account] = Lapsing()

    def enter(self, settlements: Iterable[Settlement], now_ms: int) -> None:
        """Count jobs, and add how they ended to the histories."""
        self._begin_minute(now_ms)
        add = self.total.add
        name, ends = "", None
        for one in settlements:
            add(one)
            if one.entry:
                if ends is None or one.name != name:
                    name, ends = one.name, self._open(one.name, now_ms)
                ends.append(one.entry)
            if one.tenant:
                self._enter_of_tenant(one, now_ms)

    def enter_recovered(self, number: int, now_ms: int) -> None:
        """Count jobs that were taken back from workers that died."""
        self._begin_minute(now_ms)
        self.total.counts["recovered"] += number

    def _begin_minute(self, now_ms: int) -> None:
        minute = now_ms // MINUTE_MS
        if minute == self._minute:
            return
        self._minute = minute
        if minute not in self._minutes:
            self._minutes[minute] = dict(self.total.counts)
        oldest = next(iter(self._minutes))
        if oldest * MINUTE_MS <= now_ms - MINUTES_KEEP_MS:
            del self._minutes[oldest]

    def _open(self, name: str, now_ms: int) -> deque[bytes]:
        """Return the history of a job name, to be added to."""
        ends = self._ends.get(name, now_ms)
        if ends is None:
            ends = deque(maxlen=MAX_HISTORY)
        self._ends.put(name, ends, HISTORY_KEEP_MS, now_ms)
        return ends

    def _enter_of_tenant(self, one: Settlement, now_ms: int) -> None:
        account = self._tenants.get(one.tenant, now_ms) or _Account()
        account.tally.add(one)
        if one.entry:
            account.ends.append(one.entry)
        self._tenants.put(one.tenant, account, HISTORY_KEEP_MS, now_ms)

    def _counted(self) -> dict[int, dict[str, int]]:
        """Return the counts of each minute."""
        totals = [*self._minutes.values(), self.total.counts]
        return {
            minute: {what: number - before.get(what, 0) for what, number in after.items()}
            for minute, (before, after) in zip(self._minutes, itertools.pairwise(totals), strict=True)
        }

    def series(self, step: Step, count: int, skip: int, now_ms: int) -> Series:
        """Return the figures of the last periods, oldest first, without those of which nothing is known."""
        return Series(now_ms, [*self._periods.series(step, count, skip, self._counted(), now_ms)])

    def runs(self, count: int, skip: int, name: str | None, now_ms: int) -> list[NameHour]:
        """Return what attempts came to in the last hours, by name, or of one name."""
        return [*self._periods.runs(count, skip, name, now_ms)]

    def count_runs(self, counts: Sequence[RunCounts], now_ms: int) -> None:
        """Add what attempts came to."""
        self._periods.count_runs(counts, now_ms)

    def begin_gauges(self, now_ms: int) -> bool:
        """Return whether the caller is to sample the gauges of this minute."""
        return self._periods.begin_gauges(self._counted(), now_ms)

    def keep_gauges(self, reading: GaugeReading, now_ms: int) -> None:
        """Keep the gauges of this minute."""
        self._periods.keep_gauges(reading, now_ms)

    def history(self, name: str, limit: int, now_ms: int) -> list[HistoryEntry]:
        """Return how the last jobs of a name ended, up to ``limit``, the latest first."""
        return read_history(_latest(self._ends.get(name, now_ms) or (), limit), name)

    def tenant_history(self, tenant: str, limit: int, now_ms: int) -> list[HistoryEntry]:
        """Return how the last jobs of a tenant ended, up to ``limit``, the latest first."""
        account = self._tenants.get(tenant, now_ms)
        return read_history(_latest(account.ends if account else (), limit))

    def tenant_ends(self, now_ms: int) -> dict[str, int]:
        """Return when the figures of each tenant last rose, in Unix milliseconds."""
        return {tenant: until_ms - HISTORY_KEEP_MS for tenant, until_ms in self._tenants.times(now_ms)}

    def tenant_figures(self, tenant: str, dead: int, now_ms: int) -> TenantFigures:
        """Return the figures of a tenant, with ``dead`` jobs in the dead letter queue."""
        tally = (self._tenants.get(tenant, now_ms) or _Account()).tally
        return TenantFigures(**tally.counts, histogram=dict(tally.histogram), dead=dead)


def _latest(ends: Iterable[bytes], limit: int) -> list[bytes]:
    return list(ends)[::-1][: max(0, limit)]
