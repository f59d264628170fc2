"""Sends the events of running jobs: gathered while a call is under way, and out before the job is settled."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence

from asyncjobs.errors import BrokerError
from asyncjobs.jobs.encryption import Encryption
from asyncjobs.ports import Emission, Lease, Work
from asyncjobs.ports.outage import Outage
from asyncjobs.worker.duty import Duty

__all__ = ["EventSender"]

_log = logging.getLogger("asyncjobs.worker")

# How long the end of a job waits for its last events, while the broker is away.
_FLUSH_S = 2.0
_MAX_EVENTS_AN_EMISSION = 1_000


class _Waiting:
    __slots__ = ("events", "skipped")

    def __init__(self) -> None:
        self.events: deque[bytes] = deque()
        self.skipped = 0


class EventSender(Duty):
    """Sends events to the broker, which keeps the last ``max_events`` of each job for ``ttl_ms``.

    At most that many wait here too: of a job that emits faster than the broker takes it, the oldest are dropped, and
    their number goes along.
    """

    def __init__(self, store: Work, *, max_events: int, ttl_ms: int, encryption: Encryption | None = None) -> None:
        self._store = store
        self._encryption = encryption
        self._max_events = max_events
        self._ttl_ms = ttl_ms
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        # By queue, since the part of the broker that has one may be away alone.
        self._waiting: dict[str, dict[Lease, _Waiting]] = {}
        self._sending: dict[str, set[Lease]] = {}
        #: Whether events of any job may be on their way.
        self.is_busy = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Send on the running loop from now on."""
        self._loop = asyncio.get_running_loop()

    def add(self, lease: Lease, event: bytes) -> None:
        """Add an event of the job under ``lease``; from any thread."""
        if self._encryption is not None:
            event = self._encryption.stored_event(lease.queue, lease.id, event)
        with self._lock:
            of_queue = self._waiting.setdefault(lease.queue, {})
            waiting = of_queue.get(lease)
            if waiting is None:
                waiting = of_queue[lease] = _Waiting()
            waiting.events.append(event)
            self.is_busy = True
            if len(waiting.events) > self._max_events:
                waiting.events.popleft()
                waiting.skipped += 1
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._start_sending, lease.queue)

    def _start_sending(self, queue: str) -> None:
        task = self._tasks.get(queue)
        # An eager task may have ended before it is known here.
        if task is None or task.done():
            self._tasks[queue] = asyncio.get_running_loop().create_task(self._send(queue), name="asyncjobs-events")

    async def _send(self, queue: str) -> None:
        try:
            while self._waiting.get(queue):
                with self._lock:
                    batch = self._waiting.pop(queue)
                self._sending[queue] = set(batch)
                await self._deliver([one for waiting in batch.items() for one in self._emissions(*waiting)])
        finally:
            self._sending.pop(queue, None)
            with self._lock:
                self.is_busy = bool(self._waiting or self._sending)

    def _emissions(self, lease: Lease, waiting: _Waiting) -> Iterator[Emission]:
        events, skipped = list(waiting.events), waiting.skipped
        for start in range(0, len(events), _MAX_EVENTS_AN_EMISSION):
            yield Emission(lease, next(self._numbers), skipped, events[start : start + _MAX_EVENTS_AN_EMISSION])
            skipped = 0

    async def _deliver(self, emissions: Sequence[Emission]) -> None:
        """Send until the broker has them: the very same again, since only the reply may have been lost."""
        outage = Outage(_log, "the events of %d jobs must wait: %s")
        while True:
            try:
                await self._store.emit(emissions, self._max_events, self._ttl_ms)
            except BrokerError as error:
                await asyncio.sleep(outage.failed(error, len({one.lease for one in emissions})))
            else:
                return

    def holds(self, lease: Lease) -> bool:
        """Return whether events of the job under ``lease`` are still on their way."""
        return lease in self._waiting.get(lease.queue, ()) or lease in self._sending.get(lease.queue, ())

    async def flush(self, lease: Lease) -> None:
        """Wait until the job's events are sent; after some seconds, drop them with an error in the log.

        What cancels the attempt comes too late, and is ignored: its outcome is known.
        """
        until = time.monotonic() + _FLUSH_S
        while self.holds(lease) and (left_s := until - time.monotonic()) > 0:
            self._start_sending(lease.queue)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([self._tasks[lease.queue]], timeout=left_s)
        if self.holds(lease):
            with self._lock:
                of_queue = self._waiting.get(lease.queue, {})
                of_queue.pop(lease, None)
                if not of_queue:
                    self._waiting.pop(lease.queue, None)
            _log.error("the last events of job %s could not be sent and are lost", lease.id)

    async def stop(self) -> None:
        """Stop sending; events that are still on their way are lost."""
        self._loop = None
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
