"""In whose turn the jobs of one priority start: groups by virtual time, and in a group its lines in rotation."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Container
from heapq import heapify, heappop, heappush, nsmallest

from asyncjobs.brokers.memory.line import KeyedLine

__all__ = ["Turns"]

# In how many lines the jobs of a group are counted.
MAX_LINES = 100

# How many entries of a heap may hold no longer, besides one for each group in turn.
_MAX_VOID = 100


class Turns:
    """The groups of one priority, and those of their lines that are in turn. ``core.turns`` has the rules."""

    __slots__ = ("_aside", "_heap", "_rotations", "clock", "plain", "size", "tags")

    def __init__(self) -> None:
        self.clock = 0.0
        """The largest tag at which a job has started."""
        self.plain: float | None = None
        """The tag of the jobs without a line key, ``None`` if there was nothing yet to share with."""
        self.tags: dict[str, float] = {}
        """The tags of the groups; a group has one also while none of its lines is in turn."""
        self.size = 0
        """How many lines are in turn."""
        self._rotations: dict[str, OrderedDict[str, KeyedLine]] = {}
        # By tag and name, the groups that have a line in turn; also has entries with tags that hold no longer.
        self._heap: list[tuple[float, str]] = []
        self._aside: list[str] = []

    def join(self, line: KeyedLine, lag: float = 0.0) -> None:
        """Let a line be the last of its group; a group that comes to turn starts at most ``lag`` behind the clock."""
        rotation = self._rotations.get(line.group)
        if rotation is None:
            rotation = self._rotations[line.group] = OrderedDict()
            self._move(line.group, max(self.tags.get(line.group, 0.0), self.clock - lag))
        rotation[line.key] = line
        self.size += 1

    def leave(self, line: KeyedLine) -> None:
        """Take a line out of turn."""
        rotation = self._rotations[line.group]
        del rotation[line.key]
        self.size -= 1
        if not rotation:
            del self._rotations[line.group]

    def first(self) -> str | None:
        """Return the group whose turn it is, ``None`` if there is none."""
        heap = self._heap
        while heap and (heap[0][1] not in self._rotations or self.tags[heap[0][1]] != heap[0][0]):
            heappop(heap)
        return heap[0][1] if heap else None

    def head(self, group: str, besides: Container[KeyedLine]) -> KeyedLine | None:
        """Return the line of a group whose turn it is, without those in ``besides``."""
        return next((line for line in self._rotations[group].values() if line not in besides), None)

    def has_gates(self, group: str) -> bool:
        """Return whether a group has a line in turn with gates, besides the one without, whose key is the group."""
        rotation = self._rotations[group]
        return len(rotation) > 1 or group not in rotation

    def put_aside(self, group: str) -> None:
        """Let the turn of a group, the first one, pass by until ``end_claim``."""
        heappop(self._heap)
        self._aside.append(group)

    def end_claim(self) -> None:
        """Bring back the groups that were put aside."""
        for group in self._aside:
            heappush(self._heap, (self.tags[group], group))
        self._aside.clear()

    def start(self, line: KeyedLine, cost: float) -> None:
        """Note that a job of a line starts, the first one; the next of its group is another line's."""
        tag = self.tags[line.group]
        self.clock = max(self.clock, tag)
        self._rotations[line.group].move_to_end(line.key)
        self._move(line.group, tag + cost)

    def plain_tag(self) -> float:
        """Return the tag of the jobs without a line key, which is never behind the clock."""
        self.plain = max(self.plain or 0.0, self.clock)
        return self.plain

    def start_plain(self, cost: float) -> None:
        """Note that a job without a line key starts."""
        tag = self.plain_tag()
        self.clock, self.plain = tag, tag + cost

    def charge(self, group: str, cost: float) -> None:
        """Move on the tag of a group, if it has one."""
        tag = self.tags.get(group)
        if tag is not None:
            self._move(group, tag + cost)

    def take_back(self, group: str, cost: float) -> None:
        """Let a group have a turn again that has not been used; it is one behind the clock by that at most."""
        tag, least = self.tags.get(group), self.clock - cost
        if tag is not None and tag > least:
            self._move(group, max(tag - cost, least))

    def groups_before(self, group: str) -> int:
        """Return how many groups with a line in turn start before ``group``."""
        own = self.tags[group], group
        return sum((self.tags[one], one) < own for one in self._rotations)

    def next_groups(self, limit: int) -> list[tuple[str, int]]:
        """Return the groups that have jobs in turn, in the order of their next starts, and how many they have.

        These jobs are counted in 100 lines of each group.
        """
        counts = {
            group: sum(map(len, itertools.islice(lines.values(), MAX_LINES)))
            for group, lines in self._rotations.items()
        }
        having = (group for group, count in counts.items() if count)
        return [(one, counts[one]) for one in nsmallest(limit, having, key=lambda one: (self.tags[one], one))]

    def forget(self, groups: Container[str] = ()) -> None:
        """Forget the tags that say nothing any more: those behind the clock, but for ``groups``, which have lines."""
        self.tags = {one: tag for one, tag in self.tags.items() if tag > self.clock or one in groups}

    def _move(self, group: str, tag: float) -> None:
        self.tags[group] = tag
        if group in self._rotations:
            heappush(self._heap, (tag, group))
            if len(self._heap) > 2 * len(self._rotations) + _MAX_VOID:
                aside = set(self._aside)
                self._heap = [(self.tags[one], one) for one in self._rotations if one not in aside]
                heapify(self._heap)
