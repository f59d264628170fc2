"""What the jobs of one queue came to: counters, histograms of durations, and how the last of them ended."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable

from asyncjobs.brokers.memory.lapsing import Lapsing
from asyncjobs.core.histogram import bucket_of
from asyncjobs.core.retention import HISTORY_KEEP_MS, MAX_HISTORY, MAX_TENANT_HISTORY, MINUTES_KEEP_MS
from asyncjobs.core.settlement import HistoryEntry, Settlement, Verdict, read_history
from asyncjobs.ports import MinuteFigures, TenantFigures

__all__ = ["Ledger", "Tally"]

_MINUTE_MS = 60_000


class Tally:
    """How many jobs came to what, and how long they took; ``counts`` has the names that the figures have."""

    __slots__ = ("counts", "histogram")

    def __init__(self) -> None:
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.histogram: defaultdict[int, int] = defaultdict(int)

    def add(self, one: Settlement) -> None:
        """Count one job."""
        verdict, counts = one.verdict, self.counts
        if verdict is Verdict.COMPLETE:
            counts["succeeded"] += 1
            counts["duration_us"] += one.duration_us
            self.histogram[bucket_of(one.duration_us)] += 1
        elif verdict is Verdict.RETRY:
            counts["retried"] += 1
        elif verdict is Verdict.DEAD:
            counts["failed"] += 1
        elif verdict is Verdict.CANCEL:
            counts["cancelled"] += 1

    def merge(self, other: Tally) -> None:
        """Add what ``other`` has counted."""
        for what, number in other.counts.items():
            self.counts[what] += number
        for bucket, number in other.histogram.items():
            self.histogram[bucket] += number


class _Account:
    """What the jobs of one tenant came to."""

    __slots__ = ("ends", "tally")

    def __init__(self) -> None:
        self.tally = Tally()
        self.ends: deque[bytes] = deque(maxlen=MAX_TENANT_HISTORY)


class Ledger:
    """The totals of a queue, those of its last hours by the minute and of its tenants, and the last ends by name."""

    __slots__ = ("_ends", "_minutes", "_tenants", "total")

    def __init__(self) -> None:
        self.total = Tally()
        self._minutes: Lapsing[int, Tally] = Lapsing()
        self._tenants: Lapsing[str, _Account] = Lapsing()
        # The latest last, as in the account of a tenant.
        self._ends: Lapsing[str, deque[bytes]] = Lapsing()

    def enter(self, settlements: Iterable[Settlement], now_ms: int) -> None:
        """Enter what became of jobs."""
        tally = Tally()
        ends: dict[str, list[bytes]] = {}
        for one in settlements:
            tally.add(one)
            if one.entry:
                if one.name in ends:
                    ends[one.name].append(one.entry)
                else:
                    ends[one.name] = [one.entry]
            if one.tenant:
                self._enter_of_tenant(one, now_ms)
        self._count(tally, now_ms)
        for name, new in ends.items():
            known = self._ends.get(name, now_ms)
            if known is None:
                known = deque(maxlen=MAX_HISTORY)
            known.extend(new)
            self._ends.put(name, known, HISTORY_KEEP_MS, now_ms)

    def enter_recovered(self, number: int, now_ms: int) -> None:
        """Enter that so many jobs were taken back from workers that died."""
        tally = Tally()
        tally.counts["recovered"] = number
        self._count(tally, now_ms)

    def _count(self, tally: Tally, now_ms: int) -> None:
        if not tally.counts:
            return
        self.total.merge(tally)
        minute = now_ms // _MINUTE_MS
        of_minute = self._minutes.get(minute, now_ms) or Tally()
        of_minute.merge(tally)
        self._minutes.put(minute, of_minute, MINUTES_KEEP_MS, now_ms)

    def _enter_of_tenant(self, one: Settlement, now_ms: int) -> None:
        account = self._tenants.get(one.tenant, now_ms) or _Account()
        account.tally.add(one)
        if one.entry:
            account.ends.append(one.entry)
        self._tenants.put(one.tenant, account, HISTORY_KEEP_MS, now_ms)

    def minutes(self, count: int, now_ms: int) -> list[MinuteFigures]:
        """Return the figures of those of the last ``count`` minutes in which something was counted, oldest first."""
        first = now_ms // _MINUTE_MS - count + 1
        return [
            MinuteFigures(at_ms=minute * _MINUTE_MS, **tally.counts)
            for minute, tally in sorted(self._minutes.items(now_ms))
            if minute >= first
        ]

    def history(self, name: str, limit: int, now_ms: int) -> list[HistoryEntry]:
        """Return up to ``limit`` ends of a name, the latest first."""
        return read_history(_latest(self._ends.get(name, now_ms) or (), limit), name)

    def tenant_history(self, tenant: str, limit: int, now_ms: int) -> list[HistoryEntry]:
        """Return up to ``limit`` ends of a tenant, the latest first."""
        account = self._tenants.get(tenant, now_ms)
        return read_history(_latest(account.ends if account else (), limit))

    def tenant_figures(self, tenant: str, dead: int, now_ms: int) -> TenantFigures:
        """Return the figures of a tenant that has ``dead`` jobs in the dead letter queue."""
        tally = (self._tenants.get(tenant, now_ms) or _Account()).tally
        return TenantFigures(**tally.counts, histogram=dict(tally.histogram), dead=dead)


def _latest(ends: Iterable[bytes], limit: int) -> list[bytes]:
    return list(ends)[::-1][: max(0, limit)]
