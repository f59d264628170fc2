"""What the jobs of one queue came to: counters, and how the last of each name ended; the same for each tenant."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable

import msgspec

from asyncjobs.brokers.memory.tenants import TenantBooks
from asyncjobs.core.histogram import bucket_of
from asyncjobs.core.record.envelope import encode
from asyncjobs.core.settlement import HistoryEntry, Settlement, Verdict

__all__ = ["Books"]

_HISTORY_LENGTH = 1_000
_COUNTED = {Verdict.RETRY: "retried", Verdict.DEAD: "failed", Verdict.CANCEL: "cancelled"}


class Books:
    """The books of one queue; ``counts`` and ``histogram`` as in ``ports.QueueFigures``."""

    __slots__ = ("_histories", "counts", "histogram", "tenants")

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("succeeded", "failed", "cancelled", "retried", "recovered", "duration_us"), 0)
        self.histogram: dict[int, int] = {}
        self.tenants = TenantBooks()
        self._histories: defaultdict[bytes, deque[bytes]] = defaultdict(lambda: deque(maxlen=_HISTORY_LENGTH))

    def enter_settled(self, settlements: Iterable[Settlement], now_ms: int) -> None:
        """Enter what became of jobs after a run."""
        counts, histogram, histories = self.counts, self.histogram, self._histories
        for one in settlements:
            if one.verdict is Verdict.COMPLETE:
                counts["succeeded"] += 1
                counts["duration_us"] += one.duration_us
                bucket = bucket_of(one.duration_us)
                histogram[bucket] = histogram.get(bucket, 0) + 1
            elif one.verdict in _COUNTED:
                counts[_COUNTED[one.verdict]] += 1
            if one.entry:
                histories[one.name.encode()].appendleft(one.entry)
            if one.tenant:
                self._enter_of_tenant(one, now_ms)

    def _enter_of_tenant(self, one: Settlement, now_ms: int) -> None:
        tenant = one.tenant.encode()
        if one.verdict is Verdict.COMPLETE:
            self.tenants.succeeded(tenant, one.duration_us, now_ms)
        elif one.verdict in _COUNTED:
            self.tenants.count(tenant, _COUNTED[one.verdict], now_ms)
        if one.entry:
            self.tenants.enter(tenant, one.entry, now_ms)

    def enter_unrun(self, name: bytes, tenant: bytes, entry: HistoryEntry, now_ms: int) -> None:
        """Enter an end that came without a run."""
        self.counts[entry.state] += 1
        if not tenant:
            self._histories[name].appendleft(encode(entry))
            return
        packed = encode(msgspec.structs.replace(entry, name=str(name, "utf-8", "replace")))
        self._histories[name].appendleft(packed)
        self.tenants.count(tenant, entry.state, now_ms)
        self.tenants.enter(tenant, packed, now_ms)

    def history(self, name: str, limit: int) -> list[bytes]:
        """Return up to ``limit`` encoded entries, latest first."""
        entries = self._histories.get(name.encode(), ())
        return [entry for entry, _ in zip(entries, range(limit), strict=False)]
