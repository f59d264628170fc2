"""The groups of the dead jobs of one queue."""

from __future__ import annotations

import builtins
from collections import Counter

from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.core.grouping import Heading, read_heading
from asyncjobs.core.retention import GROUP_ID_SIZE, GROUP_KEEP_MS, MAX_GROUPS, OTHER_GROUP
from asyncjobs.ports import DeadGroup, GroupState

__all__ = ["Groups"]

_HOUR_MS = 3_600_000
_HOURS = 24


class _Group:
    """One group; also an empty one, so that it is known when it comes back."""

    __slots__ = ("first_ms", "heading", "jobs", "last_ms", "note", "state")

    def __init__(self, heading: Heading, now_ms: int) -> None:
        self.heading = heading
        self.jobs: dict[str, Entry] = {}
        self.first_ms = self.last_ms = now_ms
        self.state: GroupState = "new"
        self.note = ""


class Groups:
    """The groups, by their ids."""

    __slots__ = ("_groups",)

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}

    def enter(self, entry: Entry, group: bytes, now_ms: int) -> None:
        """Enter a job that dies now into its group, as of ``core.grouping``; what is too short is none."""
        if len(group) < GROUP_ID_SIZE:
            return
        which = group[:GROUP_ID_SIZE].decode()
        if which not in self._groups and len(self._groups.keys() - {OTHER_GROUP}) >= MAX_GROUPS:
            which = OTHER_GROUP
        known = self._groups.get(which)
        if known is None:
            heading = Heading() if which == OTHER_GROUP else read_heading(group[GROUP_ID_SIZE:])
            known = self._groups[which] = _Group(heading, now_ms)
        elif not known.jobs:
            known.state = "back"
        known.last_ms = now_ms
        self._join(entry, which, known)

    def rejoin(self, entry: Entry, which: str) -> None:
        """Enter a job that is back from its deletion into the group that it was in, if that is still known."""
        known = self._groups.get(which)
        if known is not None:
            self._join(entry, which, known)

    def _join(self, entry: Entry, which: str, group: _Group) -> None:
        group.jobs[entry.id] = entry
        entry.group = which

    def leave(self, entry: Entry) -> None:
        """Take a job out of its group, if it is in one."""
        if entry.group:
            self._groups[entry.group].jobs.pop(entry.id, None)
            entry.group = ""

    def deaths(self, which: str) -> builtins.list[int]:
        """Return when the jobs of a group died, in Unix milliseconds."""
        known = self._groups.get(which)
        return [] if known is None else [entry.at_ms for entry in known.jobs.values()]

    def list(self, queue: str, dead: int, now_ms: int) -> list[DeadGroup]:
        """Return the groups that have jobs, and one of those of the ``dead`` jobs that are in none."""
        groups = []
        for which, one in self._groups.items():
            if not one.jobs:
                continue
            last = max(one.jobs.values(), key=lambda entry: (entry.at_ms, entry.id))
            by_hour = Counter(max(0, now_ms - entry.at_ms) // _HOUR_MS for entry in one.jobs.values())
            hours = tuple(by_hour[ago] for ago in range(_HOURS - 1, -1, -1))
            groups.append(
                DeadGroup(
                    queue=queue,
                    id=which,
                    name=one.heading.name,
                    error=one.heading.error,
                    message=one.heading.message,
                    frame=one.heading.frame,
                    count=len(one.jobs),
                    first_ms=one.first_ms,
                    last_ms=last.at_ms,
                    hour=hours[-1],
                    day=sum(hours),
                    hours=hours if any(hours) else (),
                    sample_id=last.id,
                    state=one.state,
                    note=one.note,
                )
            )
        groups.sort(key=lambda group: (self._groups[group.id].last_ms, group.id), reverse=True)
        left = dead - sum(group.count for group in groups)
        return [*groups, DeadGroup(queue=queue, count=left)] if left else groups

    def mark(self, which: str, state: GroupState, note: str) -> bool:
        """Mark a group; return whether there is one."""
        known = self._groups.get(which)
        if known is None:
            return False
        known.state, known.note = state, note
        return True

    def prune(self, now_ms: int) -> None:
        """Forget empty groups: the old ones, or all of them if there are many groups."""
        is_full = len(self._groups) > MAX_GROUPS * 4 // 5
        for which, one in list(self._groups.items()):
            if not one.jobs and (is_full or one.last_ms < now_ms - GROUP_KEEP_MS):
                del self._groups[which]
