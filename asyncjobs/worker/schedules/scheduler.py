"""Fires schedules: every worker keeps them all in mind, and whoever comes first to a tick makes its jobs."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Mapping, Sequence, Set

import msgspec

from asyncjobs.core.schedule import Schedule, Timing, due_ticks, next_tick
from asyncjobs.errors import AsyncJobsError, BrokerError, BrokerRefused, EnvelopeError
from asyncjobs.jobs.ticks import decode_schedule, encode_schedule, request_of
from asyncjobs.ports import FireReply, Firing, NewJob, ScheduleStore
from asyncjobs.ports.outage import Outage
from asyncjobs.worker.broker_clock import BrokerClock
from asyncjobs.worker.duty import Duty
from asyncjobs.worker.schedules.tick_sender import DueTicks, TickSender

__all__ = ["Scheduler"]

_log = logging.getLogger("asyncjobs.worker")

# Who has not fired the last tick leaves the next one to who has, for so long: that worker lives, and the others need
# not all knock at the same moment. If it has died, a tick is late by this.
_FOLLOW_S = (0.03, 0.1)

# A look at the broker that comes too early by its clock is repeated after this.
_EARLY_S = 0.002


class Scheduler(Duty):
    """Keeps the schedules of ``queues`` whose job is in ``names``; looks for changes every ``interval`` seconds.

    ``own``: the schedules of the code, by queue. They are made known at the start; one of a job in ``names`` that the
    code has no longer is removed. ``prepare``: makes the job of a tick, as ``HostSender.prepare`` does.
    ``sender``: fires through middleware, where that has something to do.
    """

    def __init__(
        self,
        store: ScheduleStore,
        clock: BrokerClock,
        *,
        queues: Sequence[str],
        names: frozenset[str],
        own: Mapping[str, Sequence[Schedule]],
        interval: float,
        prepare: Callable[..., NewJob],
        sender: TickSender | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._clock = clock
        self._queues = queues
        self._names = names
        self._own = own
        self._interval = interval
        self._sender = sender
        self._prepare = prepare
        self._chance = chance
        self._known: dict[tuple[str, str], tuple[Schedule, int]] = {}
        self._broken: set[bytes] = set()
        self._fresh: Set[tuple[str, str]] = set()
        self._looked_at = -math.inf
        self._is_leading = True

    async def start(self) -> None:
        """Make the schedules of the code known, and forget those that it has no longer."""
        try:
            await self._announce()
        except BrokerRefused as error:
            # A server that is full refuses what only adds, but not what drains it.
            _log.warning("the schedules of the code could not be made known: %s", error)

    async def _announce(self) -> None:
        for queue in self._queues:
            own = {schedule.id: schedule for schedule in self._own.get(queue, ())}
            found = await self._store.schedules(queue)
            self._clock.set(found.now_ms)
            # Where only the job has changed, the ticks go on: those missed during a deploy are not forgotten by it.
            kept: dict[tuple[str, Timing], int] = {}
            for stored in found.schedules:
                schedule = self._read(stored.data)
                if schedule and schedule.from_code and schedule.id not in own and schedule.name in self._names:
                    await self._store.remove_schedule(queue, schedule.id)
                elif schedule and stored.next_ms is not None:
                    kept[schedule.id, schedule.timing] = stored.next_ms
            for schedule in own.values():
                tick = kept.get((schedule.id, schedule.timing)) or next_tick(schedule.timing, found.now_ms)
                await self._store.put_schedule(queue, schedule.id, encode_schedule(schedule), tick)

    async def look(self) -> None:
        """Learn which schedules there are, and when each is next."""
        known: dict[tuple[str, str], tuple[Schedule, int]] = {}
        for queue in self._queues:
            found = await self._store.schedules(queue)
            self._clock.set(found.now_ms)
            for stored in found.schedules:
                schedule = self._read(stored.data)
                if schedule is not None and stored.next_ms is not None and schedule.name in self._names:
                    known[queue, schedule.id] = schedule, stored.next_ms
        # Of those that came since the last look, the first ticks are late, whatever becomes of missed ones.
        self._fresh = known.keys() - self._known.keys() if self._looked_at > -math.inf else set()
        self._known = known
        self._looked_at = self._clock.monotonic()

    def _read(self, data: bytes) -> Schedule | None:
        try:
            return decode_schedule(data)
        except EnvelopeError as error:
            self._leave_alone(data, "a schedule can't be read", error)
            return None

    def _leave_alone(self, data: bytes, what: str, error: Exception) -> None:
        if data not in self._broken:
            self._broken.add(data)
            _log.error("%s and is left alone: %s", what, error)

    async def step(self) -> float:
        """Fire what is due; return in how many seconds to come again. Raises ``BrokerError``."""
        if self._clock.monotonic() - self._looked_at >= self._interval:
            await self.look()
        due = self._due()
        if due and self._sender is not None and not self._is_leading:
            # Another worker has most likely fired by now, and layers would see a job that is not sent.
            fresh = self._fresh
            await self.look()
            self._fresh |= fresh
            due = self._due()
        for queue, ticks in due.items():
            await self._fire(queue, ticks)
        return self._pause()

    def _due(self) -> dict[str, list[DueTicks]]:
        now_ms = self._clock.now_ms()
        due: dict[str, list[DueTicks]] = {}
        for (queue, _), (schedule, next_ms) in list(self._known.items()):
            if next_ms <= now_ms:
                try:
                    ticks = due_ticks(self._timing(queue, schedule, now_ms - next_ms), next_ms, now_ms)
                    jobs = [self._prepare(request_of(schedule, queue, tick), sent_at_ms=tick) for tick in ticks.fire]
                    last_ms = ticks.fire[-1] if ticks.fire else None
                    firing = Firing(schedule.id, next_ms, ticks.next_ms, last_ms, jobs)
                except AsyncJobsError as error:
                    # As of a time zone that this machine doesn't know; another worker may fire it.
                    self._leave_alone(encode_schedule(schedule), f"the schedule {schedule.id} can't fire here", error)
                    del self._known[queue, schedule.id]
                    continue
                due.setdefault(queue, []).append(DueTicks(schedule, ticks, firing))
        return due

    def _timing(self, queue: str, schedule: Schedule, late_ms: int) -> Timing:
        if (queue, schedule.id) in self._fresh and late_ms <= 2_000 * self._interval:
            return msgspec.structs.replace(schedule.timing, missed="all")
        return schedule.timing

    async def _fire(self, queue: str, due: Sequence[DueTicks]) -> None:
        is_leading = is_early = False
        for one, reply in zip(due, await self._replies(queue, due), strict=True):
            key = queue, one.schedule.id
            if reply is None:
                # It stays due in the broker; until the next look it is left alone.
                del self._known[key]
                continue
            [is_ours] = reply.fired
            is_leading = is_leading or is_ours
            if is_ours or one.firing.expected_ms <= reply.now_ms:
                # Fired by us or by another one. What else may have happened to it, the next look tells.
                self._known[key] = one.schedule, one.ticks.next_ms
            else:
                is_early = True
        self._is_leading = is_leading
        if is_early:
            await asyncio.sleep(_EARLY_S)

    async def _replies(self, queue: str, due: Sequence[DueTicks]) -> list[FireReply | None]:
        """Fire, and return the reply for each schedule, ``None`` for one that middleware kept from it."""
        if self._sender is None:
            reply = await self._store.fire(queue, [one.firing for one in due])
            self._clock.set(reply.now_ms)
            return [FireReply(reply.now_ms, [is_ours]) for is_ours in reply.fired]
        replies = []
        for one in due:
            sent = await self._sender.fire(queue, one)
            if sent is not None:
                self._clock.set(sent.now_ms)
            replies.append(sent)
        return replies

    def _pause(self) -> float:
        until_look = max(0.0, self._looked_at + self._interval - self._clock.monotonic())
        earliest_ms = min((next_ms for _, next_ms in self._known.values()), default=None)
        if earliest_ms is None:
            return until_look
        least, most = _FOLLOW_S
        behind = 0.0 if self._is_leading else least + self._chance() * (most - least)
        return min(until_look, self._clock.seconds_until(earliest_ms) + behind)

    async def run(self) -> None:
        """Fire schedules, for ever; while the broker is away, wait for it: what is missed meets its rule."""
        outage = Outage(_log, "schedules must wait: %s")
        while True:
            try:
                pause = await self.step()
                outage.over()
            except BrokerError as error:
                pause = outage.failed(error)
            await asyncio.sleep(pause)
