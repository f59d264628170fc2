"""What ``app.gates()`` returns, made from the broker's figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from asyncjobs.core.duration import utc_time
from asyncjobs.core.gates import checked_gate
from asyncjobs.core.limits import QUANTUM_MS, checked_limit
from asyncjobs.core.lines import rule_in
from asyncjobs.ports import GateFigures

__all__ = ["MAX_LOOKED_THROUGH", "GateStats", "gate_stats", "is_closed", "is_full", "limit_of", "told_of"]

#: How many gates of each limit are looked through for one of them.
MAX_LOOKED_THROUGH = 10_000

# How far the clocks of two machines may be apart.
_SKEW_MS = 1_000


class GateStats(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of a queue by name, or one of its gates: how much of it is in use, and what waits for it.

    As text, it is a sentence.
    """

    gate: str
    """The name of the limit, as ``stripe``, or the limit for one value, as ``customer=42``. A value that is long, or
    that can't be printed, stands as a digest, which begins with ``~``."""
    is_each: bool
    """Whether this is a limit by value, of which gates follow: ``running`` and ``rate`` are for each of them, and the
    other figures are of all."""
    running: int | None
    """How many jobs may run through it at once; ``None`` for any number."""
    rate: str | None
    """How many jobs may start through it in a time, such as ``"50/s"``; ``None`` for any number."""
    burst: int | None
    """How many of the rate may start at the same moment; ``None`` without a rate."""
    is_set: bool
    """Whether the limit was set by hand for just this one, in place of what would hold otherwise."""
    set_by: str
    """Who has set it: see ``acting``. Empty if it was not set by hand."""
    in_use: int
    """How many of its slots are taken: by jobs that run, and by those that are booked."""
    booked: int
    """How many of the slots in use are kept for lines whose next job needs several gates."""
    waiting: int
    """How many jobs wait for it."""
    waiting_lines: int
    """In how many lines these jobs wait."""
    oldest_wait_ms: int
    """How long the oldest of these jobs has waited, in milliseconds; 0 if none waits."""
    opens_at: datetime | None
    """When the next jobs may start, in UTC, if its rate is used up or a job has closed it; ``None`` if neither is."""
    is_closed: bool
    """Whether a job has closed it until ``opens_at``, by ``RateLimited``."""
    holders: tuple[str, ...]
    """The ids of jobs that run through it, at most 10."""

    @property
    def rule(self) -> str:
        """The name of the limit."""
        return rule_in(self.gate)

    @property
    def limit(self) -> str:
        """How many jobs may run through it at once and start in a time, as text."""
        return str(checked_limit(self.running, self.rate))

    @property
    def is_full(self) -> bool:
        """Whether as many jobs run through it as may."""
        return self.running is not None and not self.is_each and self.in_use >= self.running

    def __str__(self) -> str:
        of = "" if self.running is None else f", {self.running:,} each" if self.is_each else f" of {self.running:,}"
        waiting = f"; {_counted(self.waiting, 'job')} in {_counted(self.waiting_lines, 'line')} wait" * bool(
            self.waiting
        )
        return f"{self.gate}: {self.in_use:,}{of} in use{waiting}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def told_of(figures: Sequence[GateFigures], elsewhere: Collection[str]) -> list[GateFigures]:
    """Return the figures without those of limits that belong elsewhere and are not used here."""
    counts = Counter(rule_in(one.gate) for one in figures)
    return [one for one in figures if one.gate not in elsewhere or counts[one.gate] > 1 or _is_used(one)]


def _is_used(gate: GateFigures) -> bool:
    return bool(gate.running or gate.booked or gate.lines or gate.is_set or gate.opens_at_ms)


def gate_stats(figures: Iterable[GateFigures], now: datetime) -> list[GateStats]:
    """Return the statistics of the gates of a queue.

    Args:
        figures: Those of its rules, each followed by those of its gates.
        now: The time, in UTC.
    """
    told = list(figures)
    by_value = {rule_in(one.gate) for one in told if one.gate != rule_in(one.gate)}
    return [_stats(one, now, is_each=one.gate in by_value) for one in told]


def limit_of(gates: Sequence[GateStats], gate: str) -> GateStats | None:
    """Return the limit that holds for ``gate``, among ``gates``: its own or that of its rule; ``None`` for none.

    Args:
        gates: The gates of its queue.
        gate: The name of a limit, or the text of a gate, as ``app.set_limit`` takes them.
    """
    gate = checked_gate(gate)
    return next((one for name in (gate, rule_in(gate)) for one in gates if one.gate == name), None)


def _stats(figures: GateFigures, now: datetime, *, is_each: bool) -> GateStats:
    rate = figures.limit.rate
    return GateStats(
        gate=figures.gate,
        is_each=is_each,
        running=figures.limit.running,
        rate=None if rate is None else str(rate),
        burst=None if rate is None else rate.burst,
        is_set=figures.is_set,
        set_by=figures.set_by,
        in_use=figures.running + figures.booked,
        booked=figures.booked,
        waiting=figures.jobs,
        waiting_lines=figures.lines,
        oldest_wait_ms=figures.oldest_wait_ms,
        opens_at=utc_time(figures.opens_at_ms),
        is_closed=is_closed(figures, now),
        holders=figures.holders,
    )


def is_full(gate: GateFigures) -> bool:
    """Return whether as many jobs run through a gate as may."""
    return gate.limit.running is not None and gate.running + gate.booked >= gate.limit.running


def is_closed(gate: GateFigures, now: datetime) -> bool:
    """Return whether a job has closed a gate, by ``RateLimited``: it opens later than by its rate alone."""
    opens_at, rate = utc_time(gate.opens_at_ms), gate.limit.rate
    if opens_at is None:
        return False
    return rate is None or opens_at - now > timedelta(milliseconds=max(rate.step_ms, QUANTUM_MS) + _SKEW_MS)
