"""The unique keys of one queue: which job holds each, and what a send does that meets it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.core.states import JobState
from asyncjobs.core.uniqueness import UniqueRule, Until
from asyncjobs.ports import NewJob

__all__ = ["UniqueKeys", "holder_of", "prune_keys", "take_again"]

#: How many keys a call of ``prune_keys`` looks at.
_MAX_LOOKED = 5_000


class _Holding(NamedTuple):
    """The job that holds a key."""

    id: str
    until_ms: int
    """Up to when it holds the key although it has completed; 0 for no longer than it lives."""
    sent_at_ms: int


class UniqueKeys:
    """By unique key, the job that holds it, or has held it: whether it still does, only its entry tells.

    So a key whose job has ended, died or gone is free, whatever became of it. To remove the key only saves memory.
    """

    def __init__(self) -> None:
        self.holdings: OrderedDict[str, _Holding] = OrderedDict()

    def leave(self, entry: Entry, *, completed: bool = False) -> None:
        """Remove the key of a job that ends or is deleted, if the job holds it; one that ``completed`` may go on."""
        holding = self.holdings.get(entry.unique_key)
        if holding is not None and holding.id == entry.id and not (completed and holding.until_ms):
            del self.holdings[entry.unique_key]


class Keyed(Protocol):
    """The queue whose keys these are."""

    unique: UniqueKeys
    jobs: dict[str, Entry]

    def get(self, job_id: str, now_ms: int) -> Entry | None: ...
    def leave(self, entry: Entry) -> None: ...
    def make_ready(self, entries: Sequence[Entry]) -> None: ...
    def schedule(self, later: Sequence[tuple[Entry, int]]) -> None: ...


def holder_of(queue: Keyed, job: NewJob, rule: UniqueRule, now_ms: int) -> str | None:
    """Return the id of the job that holds the key of a new one, changed as ``rule`` says; if none does, ``job`` does.

    Args:
        queue: The queue.
        job: The new job, whose id the queue doesn't know.
        rule: The rule of the new job.
        now_ms: The time, in Unix milliseconds.
    """
    holdings = queue.unique.holdings
    holding = holdings.get(rule.key)
    if holding is None or not _holds(queue, rule.key, holding, rule.until, now_ms):
        until_ms = now_ms + rule.within_ms if rule.within_ms else 0
        holdings[rule.key] = _Holding(job.id, until_ms, now_ms)
        return None
    if rule.on_conflict == "replace" and _standing(queue, rule.key, holding, now_ms) == "waits":
        entry = queue.jobs[holding.id]
        entry.body, entry.acks_early = job.body, job.acks_early
        if entry.line != job.line:
            _change_line(queue, entry, job.line)
        if rule.wait_ms and entry.place == "scheduled":
            due_at_ms = now_ms + rule.wait_ms
            if rule.at_most_ms:
                due_at_ms = min(due_at_ms, holding.sent_at_ms + rule.at_most_ms)
            queue.schedule([(entry, due_at_ms)])
    return holding.id


def _change_line(queue: Keyed, entry: Entry, line: str) -> None:
    """Give a waiting job another line key; if it is ready, it goes to the back of that line."""
    is_ready = entry.place == "ready"
    if is_ready:
        queue.leave(entry)
    entry.line = line
    if is_ready:
        queue.make_ready([entry])


def take_again(queue: Keyed, entry: Entry, now_ms: int) -> None:
    """Give a job that was dead its key back, unless another job holds it."""
    key, holdings = entry.unique_key, queue.unique.holdings
    if not key:
        return
    holding = holdings.get(key)
    if holding is None or (holding.id != entry.id and not _holds(queue, key, holding, "end", now_ms)):
        holdings[key] = _Holding(entry.id, 0, now_ms)


def _holds(queue: Keyed, key: str, holding: _Holding, until: Until, now_ms: int) -> bool:
    standing = _standing(queue, key, holding, now_ms)
    return (
        standing == "waits"
        or (standing == "begun" and until == "end")
        or (standing != "void" and holding.until_ms > now_ms)
    )


def _standing(queue: Keyed, key: str, holding: _Holding, now_ms: int) -> Literal["waits", "begun", "completed", "void"]:
    """Return what has become of the holder of ``key``; ``void`` if it was cancelled or is dead."""
    entry = queue.get(holding.id, now_ms)
    # After the holder has expired, a job without this key may have its id.
    if entry is None or entry.unique_key != key or (entry.place == "ended" and entry.ended_as is JobState.COMPLETED):
        return "completed"
    if entry.place in ("ended", "dead"):
        return "void"
    return "begun" if entry.place == "running" or entry.tries else "waits"


def prune_keys(queue: Keyed, now_ms: int) -> None:
    """Remove some keys that their jobs don't hold any more."""
    holdings = queue.unique.holdings
    for _ in range(min(len(holdings), _MAX_LOOKED)):
        key, holding = holdings.popitem(last=False)
        if holding.until_ms > now_ms or _standing(queue, key, holding, now_ms) in ("waits", "begun"):
            holdings[key] = holding
