"""The reasons why a job doesn't run: figures, and the sentences that they are as text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

__all__ = ["Why", "WhyKind", "WhyReason"]

WhyKind = Literal[
    "queue paused",
    "name suspended",
    "tenant suspended",
    "unknown name",
    "newer version",
    "no worker",
    "no worker of its name",
    "due later",
    "queue full",
    "rate used up",
    "gate full",
    "gate rate used up",
    "gate closed",
    "no free slot",
    "in line",
    "should run",
    "runs",
    "worker silent",
    "dead",
    "ended",
]
"""What keeps a job from running, or what it does instead. Later versions may know more kinds."""


class WhyReason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason why a job doesn't run. As text, it is a sentence."""

    kind: WhyKind
    """What the reason is."""
    which: str = ""
    """The queue, the name, the tenant, the version or the gate that it is about; of a job that runs, the worker."""
    since: datetime | None = None
    """Since when, in UTC; ``None`` where that isn't known. Of a silent worker, when it announced itself last."""
    by: str = ""
    """Who has paused or suspended it, if that is known."""
    note: str = ""
    """The reason that was given for that; of a job that is dead or has ended, its last error, or the reason; the rate
    that is used up."""
    due_at: datetime | None = None
    """When the job may start, of a job that waits for its time; when the rate of its queue allows the next start, or
    its gate opens; by when the job of a silent worker is taken back, if that worker is dead; ``None`` while no other
    worker is there."""
    retry: int = 0
    """Which retry it waits for, 0 for the first run; of a dead job, how many attempts have failed."""
    max_retries: int | None = None
    """How many retries it has at most, where that is known."""
    ahead: int | None = None
    """How many jobs start before it, of a job in line; of a job that has a group or gates, how many of its own line."""
    slots: int | None = None
    """How many jobs the workers of its queue run at once; of a full queue or a full gate, how many may run at once."""
    free_slots: int | None = None
    """How many of these slots are free, as of the last seconds."""
    in_use: int | None = None
    """How many slots of a full gate are taken."""
    holders: tuple[str, ...] = ()
    """The ids of jobs that run through a full gate, at most 10."""
    lines_ahead: int | None = None
    """How many lines are before its own at the gate that it waits for."""
    group: str = ""
    """In the turn of which group it waits; empty if it has none."""
    groups_ahead: int | None = None
    """How many groups are before its own."""

    def __str__(self) -> str:
        return _SENTENCES[self.kind](self)


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job doesn't run. As text, it is one sentence a reason."""

    id: str
    """The id of the job."""
    queue: str
    """Its queue."""
    state: str
    """Its state."""
    reasons: list[WhyReason]
    """The reasons, the first one first to be dealt with."""

    def __str__(self) -> str:
        return " ".join(map(str, self.reasons))


def _of_hold(what: str, one: WhyReason) -> str:
    by = f" by {one.by}" if one.by else ""
    since = f" since {_time(one.since)}" if one.since else ""
    return f"{what} is {'paused' if one.kind == 'queue paused' else 'suspended'}{since}{by}" + (
        f": {one.note}." if one.note else "."
    )


def _due(one: WhyReason) -> str:
    if not one.retry:
        return f"Its time has not come: it starts at {_time(one.due_at)}."
    of = "" if one.max_retries is None else f" of {one.max_retries:,}"
    after = ""
    if one.since is not None and one.due_at is not None:
        after = f", {_seconds((one.due_at - one.since).total_seconds())} after the last attempt"
    return f"It waits for retry {one.retry:,}{of}, at {_time(one.due_at)}{after}."


def _dead_sentence(one: WhyReason) -> str:
    used = one.max_retries is not None and one.retry > one.max_retries
    if used:
        how = "its only attempt failed" if one.retry == 1 else f"all {one.retry:,} attempts failed"
    else:
        how = f"{one.retry:,} of its attempts failed"
    last = f"; the last error is {one.note.splitlines()[0][:200]}" if one.note.strip() else ""
    return f"It is dead since {_time(one.since)}: {how}{last}. It runs again only if it is retried."


def _full(one: WhyReason) -> str:
    taken = f"All {one.slots or 0:,} slots of its workers are taken"
    if one.slots == 1:
        taken = "The only slot of its worker is taken"
    before = _before(one)
    return f"{taken}{f', and {before}' if before else ''}. More workers, or more slots of each, let it start sooner."


def _queue_full(one: WhyReason) -> str:
    running = "1 job" if one.slots == 1 else f"{one.slots or 0:,} jobs"
    return f"The queue {one.which} runs at most {running} at once, and does" + _behind(one)


def _rate_used_up(one: WhyReason) -> str:
    return f"The rate of the queue {one.which}, {one.note}, is used up until {_time(one.due_at)}" + _behind(one)


def _gate_full(one: WhyReason) -> str:
    taken = "all its slots are taken" if one.slots is None else f"all its {one.slots:,} slots are taken"
    if one.slots == 1:
        taken = "its only slot is taken"
    if one.slots is not None and one.in_use is not None and one.in_use > one.slots:
        taken = f"{one.in_use:,} slots are taken, and it has {one.slots:,} now"
    by = f" (by {', '.join(one.holders)}{'' if len(one.holders) == one.in_use else ', …'})" if one.holders else ""
    return f"It waits for {one.which}: {taken}{by}" + _behind_line(one)


def _gate_rate(one: WhyReason) -> str:
    rate = f"the rate {one.note}" if one.note else "its rate"
    return f"It waits for {one.which}: {rate} is used up until {_time(one.due_at)}" + _behind_line(one)


def _gate_closed(one: WhyReason) -> str:
    return f"It waits for {one.which}: a job has closed it until {_time(one.due_at)}" + _behind_line(one)


def _behind_line(one: WhyReason) -> str:
    """Return what is before a job whose line waits for a gate, and a full stop."""
    before = [f"{_starts(one.ahead)} before it in its line"] if one.ahead else []
    if one.lines_ahead:
        before.append(
            "1 line waits before its own" if one.lines_ahead == 1 else f"{one.lines_ahead:,} lines wait before its own"
        )
    return f"; {' and '.join(before)}." if before else "."


def _before(one: WhyReason) -> str:
    """Return what starts before a job that waits for its turn, empty if nothing does."""
    if one.groups_ahead is None:
        return f"{_starts(one.ahead)} before it" if one.ahead else ""
    before = [f"{_starts(one.ahead)} before it in its line"] if one.ahead else []
    if one.groups_ahead:
        groups = "1 group is" if one.groups_ahead == 1 else f"{one.groups_ahead:,} groups are"
        before.append(f"{groups} before {f'its group {one.group}' if one.group else 'the jobs without a group'}")
    return " and ".join(before)


def _behind(one: WhyReason) -> str:
    return f"; {_starts(one.ahead)} before it." if one.ahead else "."


def _starts(ahead: int) -> str:
    return "1 job starts" if ahead == 1 else f"{ahead:,} jobs start"


def _in_turn(one: WhyReason) -> str:
    before = _before(one)
    if before:
        return f"It waits its turn: {before}."
    if one.ahead is None or one.free_slots is None:
        return "It waits its turn."
    return "It waits its turn, and starts within seconds."


def _should(one: WhyReason) -> str:
    free = "1 slot is free, and "
    if one.free_slots != 1:
        free = "" if one.free_slots is None else f"{one.free_slots:,} slots are free, and "
    return f"It should be running: {free}nothing stands before it. If it stays so, look at the workers and their log."


def _silent(one: WhyReason) -> str:
    heard = f"has announced itself last at {_time(one.since)}" if one.since else "is not present any more"
    by = f"by {_time(one.due_at)}" if one.due_at else "when its lease has lapsed"
    return f"That worker {heard}. If it is dead, another one takes the job back {by}."


def _ended(one: WhyReason) -> str:
    because = f": {one.note}." if one.note else "."
    return f"It has ended: it was {one.which} at {_time(one.since)}{because}"


def _time(at: datetime | None) -> str:
    return "a time that is not known" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:,.0f} s"


_SENTENCES: dict[WhyKind, Callable[[WhyReason], str]] = {
    "queue paused": lambda one: _of_hold(f"The queue {one.which}", one),
    "name suspended": lambda one: _of_hold(f"The name {one.which}", one),
    "tenant suspended": lambda one: _of_hold(f"The tenant {one.which}", one),
    "unknown name": lambda one: (
        f"It is set aside{f' since {_time(one.since)}' if one.since else ''}: no worker of its queue has a handler of "
        f"{one.which}."
    ),
    "newer version": lambda one: (
        f"It is set aside: asyncjobs has written it with version {one.which} of its records, which no worker can read."
    ),
    "no worker": lambda one: f"No worker serves the queue {one.which}.",
    "no worker of its name": lambda one: f"No worker of its queue has a handler of {one.which}.",
    "due later": _due,
    "queue full": _queue_full,
    "rate used up": _rate_used_up,
    "gate full": _gate_full,
    "gate rate used up": _gate_rate,
    "gate closed": _gate_closed,
    "no free slot": _full,
    "in line": _in_turn,
    "should run": _should,
    "runs": lambda one: f"It runs on the worker {one.which or '(unknown)'} since {_time(one.since)}.",
    "worker silent": _silent,
    "dead": _dead_sentence,
    "ended": _ended,
}
