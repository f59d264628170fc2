"""Fires schedules: every worker knows the schedules of its queues, and the first one at a tick makes its jobs."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence, Set

import msgspec

from asyncjobs.core.record.version import is_newer
from asyncjobs.core.schedule import Due, Schedule, Timing, due_ticks, next_tick
from asyncjobs.errors import AsyncJobsError, BrokerError, BrokerRefused, EnvelopeError, QueueUnavailable
from asyncjobs.jobs.encryption import Encryption
from asyncjobs.jobs.ticks import decode_schedule, encode_schedule, request_of
from asyncjobs.ports import FireReply, Firing, NewJob, ScheduleStore
from asyncjobs.ports.outage import Outage
from asyncjobs.worker.broker_clock import BrokerClock
from asyncjobs.worker.duty import Duty
from asyncjobs.worker.schedules.tick_sender import DueTicks, TickSender
from asyncjobs.worker.unknown_names import UnknownNames

__all__ = ["Scheduler"]

_log = logging.getLogger("asyncjobs.worker")

# A worker that has not fired the last tick waits this much longer for the next, between the least and the most: the
# worker that fired lives, and the others need not all call at the same moment. If it has died, a tick is late by this.
_FOLLOW_S = (0.03, 0.1)

# After so many intervals a schedule whose job this worker doesn't know is one that nobody fires.
_UNFIRED_AFTER = 2

# How many ticks are made and fired at once, unless one schedule has more: the loop serves others in between.
_MAX_TICKS = 1_000

# A fire that comes too early by the broker's clock is repeated after this.
_EARLY_S = 0.002

# A new schedule fires the ticks missed within so many intervals of the look that finds it.
_FRESH_INTERVALS = 2


class Scheduler(Duty):
    """Fires the schedules of ``queues`` whose job is in ``names``; looks for changes every ``interval`` seconds.

    ``in_code``: the schedules that the code declares, by queue. They are stored at the start; a schedule of a job in
    ``names`` that the code no longer declares is removed. ``prepare``: makes the job of a tick, as
    ``HostSender.prepare`` does. ``sender``: fires through the middleware of sending, if there is any. ``encryption``:
    decrypts the arguments of schedules.
    """

    def __init__(
        self,
        store: ScheduleStore,
        clock: BrokerClock,
        *,
        queues: Sequence[str],
        names: frozenset[str],
        in_code: Mapping[str, Sequence[Schedule]],
        interval: float,
        prepare: Callable[..., NewJob],
        sender: TickSender | None = None,
        encryption: Encryption | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._clock = clock
        self._queues = queues
        self._names = names
        self._in_code = in_code
        self._interval = interval
        self._sender = sender
        self._prepare = prepare
        self._encryption = encryption
        self._chance = chance
        self._known: dict[tuple[str, str], tuple[Schedule, int]] = {}
        self._broken: set[bytes] = set()
        self._unknown = UnknownNames(clock.monotonic, "schedules don't fire")
        self._fresh: Set[tuple[str, str]] = set()
        # The queues whose schedules in code are not stored yet, and those that could not be reached: until the next
        # look, nothing of theirs fires here.
        self._unstored = list(queues)
        self._away: set[str] = set()
        self._looked_at = -math.inf
        self._is_leading = True
        self._stepping = asyncio.Lock()
        self._has_finished = False

    async def start(self) -> None:
        """Store the schedules of the code, remove those that it no longer declares, and fire those of the start."""
        await self._store_schedules_in_code()
        for queue in self._queues:
            due = [self._at_start(queue, one) for one in self._in_code.get(queue, ()) if one.timing.at_start]
            # One that can't be fired now isn't fired later: a start is no tick that could be missed.
            if due and queue not in self._unstored:
                try:
                    await self._replies(queue, due)
                except QueueUnavailable:
                    continue
                except BrokerRefused as error:
                    _log.warning("the jobs of the start could not be sent: %s", error)

    def _at_start(self, queue: str, schedule: Schedule) -> DueTicks:
        now_ms = self._clock.now_ms()
        job = self._prepare(request_of(schedule, queue, now_ms, encryption=self._encryption), sent_at_ms=now_ms)
        return DueTicks(schedule, Due([now_ms], now_ms), Firing(schedule.id, None, None, now_ms, [job], overlaps=False))

    async def _store_schedules_in_code(self) -> None:
        for queue in list(self._unstored):
            try:
                await self._store_those_of(queue)
            except QueueUnavailable:
                continue
            except BrokerRefused as error:
                # A server that is full refuses what only adds, but not what drains it.
                _log.warning("the schedules of the code could not be made known: %s", error)
            self._unstored.remove(queue)

    async def _store_those_of(self, queue: str) -> None:
        own = {schedule.id: schedule for schedule in self._in_code.get(queue, ())}
        found = await self._store.schedules(queue)
        self._clock.set(found.now_ms)
        # Where only the job has changed, the ticks go on: a deploy doesn't forget the ticks missed during it.
        kept: dict[tuple[str, Timing], int] = {}
        for stored in found.schedules:
            schedule = self._read(stored.data)
            if schedule is None and is_newer(stored.data):
                # What the code of a newer worker has declared is not replaced.
                own.pop(stored.id, None)
            elif schedule and schedule.from_code and schedule.id not in own and schedule.name in self._names:
                await self._store.remove_schedule(queue, schedule.id)
            elif schedule and stored.next_ms is not None:
                kept[schedule.id, schedule.timing] = stored.next_ms
        for schedule in own.values():
            tick = kept.get((schedule.id, schedule.timing)) or next_tick(schedule.timing, found.now_ms)
            await self._store.put_schedule(queue, schedule.id, encode_schedule(schedule), tick)

    async def look(self) -> None:
        """Read which schedules there are, and when each is due next; a queue that can't be reached keeps its own."""
        await self._store_schedules_in_code()
        known: dict[tuple[str, str], tuple[Schedule, int]] = {}
        unfired: list[tuple[str, str]] = []
        for queue in self._queues:
            try:
                found = await self._store.schedules(queue)
            except QueueUnavailable:
                self._away.add(queue)
                known |= {key: one for key, one in self._known.items() if key[0] == queue}
                continue
            self._away.discard(queue)
            self._clock.set(found.now_ms)
            for stored in found.schedules:
                schedule = self._read(stored.data)
                if schedule is None or stored.next_ms is None:
                    continue
                if schedule.name in self._names:
                    known[queue, schedule.id] = schedule, stored.next_ms
                elif stored.next_ms < found.now_ms - _UNFIRED_AFTER * 1000 * self._interval:
                    # Had another worker a handler, it would have fired by now.
                    unfired.append((queue, schedule.name))
        self._unknown.warn(unfired)
        # The first ticks of a schedule that is new since the last look are late for want of a look: all of them fire.
        self._fresh = known.keys() - self._known.keys() if self._looked_at > -math.inf else set()
        self._known = known
        self._looked_at = self._clock.monotonic()

    def _read(self, data: bytes) -> Schedule | None:
        """Return a schedule; ``None`` for one that is damaged, or that a newer asyncjobs has written."""
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
        if self._sender is not None and not self._is_leading and self._keys_due():
            # Another worker has most likely fired by now, and the layers would see a job that is not sent.
            fresh = self._fresh
            await self.look()
            self._fresh |= fresh
        for queue, ticks in self._due():
            try:
                await self._fire(queue, ticks)
            except QueueUnavailable:
                self._away.add(queue)
        return self._pause()

    def _keys_due(self) -> dict[str, list[tuple[str, str]]]:
        """Return the keys of the schedules that are due, by queue."""
        now_ms = self._clock.now_ms()
        due: dict[str, list[tuple[str, str]]] = {}
        for key, (_, next_ms) in self._known.items():
            if next_ms <= now_ms and key[0] not in self._away:
                due.setdefault(key[0], []).append(key)
        return due

    def _due(self) -> Iterator[tuple[str, list[DueTicks]]]:
        """Yield what is due, by queue, and in parts of some ``_MAX_TICKS`` ticks that are made one after another."""
        now_ms = self._clock.now_ms()
        for queue, keys in self._keys_due().items():
            part: list[DueTicks] = []
            ticks = 0
            for key in keys:
                due = self._due_ticks(key, now_ms)
                if due is None:
                    continue
                if part and ticks + len(due.ticks.fire) > _MAX_TICKS:
                    yield queue, part
                    part, ticks = [], 0
                    if queue in self._away:
                        break
                part.append(due)
                ticks += len(due.ticks.fire)
            if part:
                yield queue, part

    def _due_ticks(self, key: tuple[str, str], now_ms: int) -> DueTicks | None:
        """Return the due ticks of one schedule; ``None`` if it can't fire here, and then it is left alone."""
        schedule, next_ms = self._known[key]
        queue = key[0]
        try:
            ticks = due_ticks(self._timing(queue, schedule, now_ms - next_ms), next_ms, now_ms)
            requests = [request_of(schedule, queue, tick, encryption=self._encryption) for tick in ticks.fire]
            jobs = [self._prepare(one, sent_at_ms=tick) for one, tick in zip(requests, ticks.fire, strict=True)]
        except AsyncJobsError as error:
            # Its time zone, say, is not known on this machine; another worker may fire it.
            self._leave_alone(encode_schedule(schedule), f"the schedule {schedule.id} can't fire here", error)
            del self._known[key]
            return None
        last_ms = ticks.fire[-1] if ticks.fire else None
        overlaps = schedule.timing.overlap
        return DueTicks(schedule, ticks, Firing(schedule.id, next_ms, ticks.next_ms, last_ms, jobs, overlaps))

    def _timing(self, queue: str, schedule: Schedule, late_ms: int) -> Timing:
        if (queue, schedule.id) in self._fresh and late_ms <= 1_000 * _FRESH_INTERVALS * self._interval:
            return msgspec.structs.replace(schedule.timing, missed="all")
        return schedule.timing

    async def _fire(self, queue: str, due: Sequence[DueTicks]) -> None:
        is_leading = is_early = False
        for one, reply in zip(due, await self._replies(queue, due), strict=True):
            key = queue, one.schedule.id
            if reply is None:
                # It stays due in the broker, and is left alone until the next look.
                del self._known[key]
                continue
            [is_ours] = reply.fired
            is_leading = is_leading or is_ours
            if is_ours or (one.firing.expected_ms or 0) <= reply.now_ms:
                # Fired, here or by another worker. The next look finds what else has happened to the schedule.
                self._known[key] = one.schedule, one.ticks.next_ms
            else:
                is_early = True
        self._is_leading = is_leading
        if is_early:
            await asyncio.sleep(_EARLY_S)

    async def _replies(self, queue: str, due: Sequence[DueTicks]) -> list[FireReply | None]:
        """Fire, and return the reply for each schedule; ``None`` for one that middleware has kept from it."""
        if self._sender is None:
            reply = await self._store.fire(queue, [one.firing for one in due])
            self._clock.set(reply.now_ms)
            return [FireReply(reply.now_ms, [fired], [skipped]) for fired, skipped in zip(*reply[1:], strict=True)]
        replies = []
        for one in due:
            sent = await self._sender.fire(queue, one)
            if sent is not None:
                self._clock.set(sent.now_ms)
            replies.append(sent)
        return replies

    def _pause(self) -> float:
        until_look = max(0.0, self._looked_at + self._interval - self._clock.monotonic())
        ticks = (next_ms for (queue, _), (_, next_ms) in self._known.items() if queue not in self._away)
        earliest_ms = min(ticks, default=None)
        if earliest_ms is None:
            return until_look
        least, most = _FOLLOW_S
        behind = 0.0 if self._is_leading else least + self._chance() * (most - least)
        return min(until_look, self._clock.seconds_until(earliest_ms) + behind)

    async def run(self) -> None:
        """Fire schedules, for ever; ticks missed while the broker is away are handled as each schedule says."""
        outage = Outage(_log, "schedules must wait: %s")
        while True:
            try:
                async with self._stepping:
                    if self._has_finished:
                        return
                    pause = await self.step()
                outage.over()
            except BrokerError as error:
                pause = outage.failed(error)
            await asyncio.sleep(pause)

    async def finish(self) -> bool:
        """Fire what is due by now, and nothing from then on; return whether this was the first call.

        Raises:
            BrokerError: The broker can't be reached.
        """
        async with self._stepping:
            if self._has_finished:
                return False
            await self.step()
            self._has_finished = True
            return True
