"""Tells the broker what becomes of jobs: many in one round trip, one call under way at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from asyncjobs.core.portions import fitting
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.errors import BrokerError
from asyncjobs.ports import JobQueue, Lease
from asyncjobs.ports.outage import Outage
from asyncjobs.worker.duty import Duty
from asyncjobs.worker.leases import Leases

__all__ = ["Settler"]

_log = logging.getLogger("asyncjobs.worker")

_MAX_BATCH = 500


class Settler(Duty):
    """Collects settlements and sends them; a lease is held until its settlement is done."""

    stop_within_s = 4.0

    def __init__(self, broker: JobQueue, leases: Leases) -> None:
        self._broker = broker
        self._leases = leases
        self._waiting: list[tuple[Lease, Settlement]] = []
        # Those whose part of the broker can't be reached; they wait for their next try, and hold up no others.
        self._held: list[tuple[Lease, Settlement]] = []
        self._holding = Outage(_log, "settling must wait: %s")
        self._news = asyncio.Event()
        self._lock = asyncio.Lock()
        self._is_sending = False
        self._is_repeating = False
        self._outage = Outage(_log, "settling %d jobs must wait: %s")
        #: Called with each batch that was sent, the replies, and whether it may have been sent before.
        self.on_settled: Callable[[Sequence[tuple[Lease, Settlement]], Sequence[bool | None], bool], None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether every settlement that was added is done."""
        return not self._waiting and not self._held and not self._is_sending

    def add(self, lease: Lease, settlement: Settlement) -> None:
        """Add a settlement; it is sent with the next call."""
        self._waiting.append((lease, settlement))
        self._news.set()

    async def step(self) -> None:
        """Send one batch in one call; on ``BrokerError`` the batch waits again, and the error is raised."""
        async with self._lock:
            batch = self._waiting[:_MAX_BATCH]
            if not batch:
                return
            if len(batch) > 1:
                batch = batch[: fitting(settlement.size for _, settlement in batch)]
            del self._waiting[: len(batch)]
            self._is_sending = True
            try:
                replies = await self._broker.settle([settlement for _, settlement in batch])
            except BaseException:
                self._waiting = batch + self._waiting
                self._is_repeating = True
                raise
            finally:
                self._is_sending = False
            self._settled(batch, replies)

    def _settled(self, batch: list[tuple[Lease, Settlement]], replies: Sequence[bool | None]) -> None:
        for (lease, settlement), done in zip(batch, replies, strict=True):
            if done is None:
                self._hold(lease, settlement)
                continue
            self._leases.let_go(lease)
            # After a lost reply a refusal may only mean that the first call got through.
            if not done and not self._is_repeating and settlement.verdict is not Verdict.RELEASE:
                _log.warning(
                    "the lease of job %s (%s) had been lost: what this attempt came to is ignored",
                    lease.id,
                    settlement.name,
                )
        if self.on_settled is not None:
            self.on_settled(batch, replies, self._is_repeating)
        self._is_repeating = False
        if self._holding.failures and not self._held:
            self._holding.over()

    def _hold(self, lease: Lease, settlement: Settlement) -> None:
        if not self._held:
            pause = self._holding.failed(f"the part of the broker that has queue {lease.queue} can't be reached")
            asyncio.get_running_loop().call_later(pause, self._let_try_again)
        self._held.append((lease, settlement))

    def _let_try_again(self) -> None:
        self._waiting += self._held
        self._held = []
        self._is_repeating = True
        self._news.set()

    async def run(self) -> None:
        """Send what is added, for ever; while the broker is away, keep it and try again."""
        while True:
            if not self._waiting:
                self._news.clear()
                await self._news.wait()
                # The settlements of other jobs that end in this round of the loop go along.
                await asyncio.sleep(0)
            await self.flush()

    async def flush(self, timeout: float | None = None) -> bool:
        """Send until nothing waits, for at most ``timeout`` seconds; return whether everything was sent."""
        try:
            async with asyncio.timeout(timeout) as bound:
                await self._send_all()
        except TimeoutError:
            if not bound.expired():
                raise
        return self.is_idle

    async def _send_all(self) -> None:
        while not self.is_idle:
            if self._held and not self._waiting:
                self._news.clear()
                await self._news.wait()
            try:
                await self.step()
                if self._outage.failures:
                    self._outage.over()
            except BrokerError as error:
                await asyncio.sleep(self._outage.failed(error, len(self._waiting)))

    async def stop(self) -> None:
        """Send what is left."""
        try:
            await self.flush()
        finally:
            if not self.is_idle:
                _log.error("not everything could be settled; those jobs will be recovered once their lease expires")
