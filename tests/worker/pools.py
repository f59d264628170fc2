"""Calls in the processes of a pool, and which processes there are."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from asyncjobs.core.job import create_job, start_job
from asyncjobs.core.priority import Priority
from asyncjobs.core.record.envelope import Envelope
from asyncjobs.core.tenancy import TenantContext
from asyncjobs.jobs.definition import JobDefinition, signature_of
from asyncjobs.jobs.ids import new_id
from asyncjobs.worker.processes.pool import HandlerProcesses, ProcessCall
from tests.waiting import SOON, until

__all__ = ["Running", "call_of", "ignore", "in_a_slot", "is_alive", "run", "runs", "until_gone"]


def is_alive(pid: int) -> bool:
    """Say whether there is such a process, be it only a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def runs(pid: int) -> bool:
    """Say whether there is such a process that is no zombie; one that isn't our child is reaped by another."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until_gone(pid: int) -> None:
    await until(lambda: not runs(pid), f"process {pid} has ended", within=3)


def call_of(definition: JobDefinition[..., Any], *args: Any, **kwargs: Any) -> ProcessCall:
    arguments, keywords = signature_of(definition).encode(args, kwargs)
    envelope = Envelope(arguments=msgspec.Raw(arguments), keywords=keywords, metadata={"order": 7})
    job = create_job(new_id(), definition.name, "images", Priority.HIGH, envelope, tenant="acme")
    return ProcessCall.of(
        definition.function,
        start_job(msgspec.structs.replace(job, failures=2), 5, 1_700_000_000_000),
        max_result_bytes=10_000_000,
        deadline_ms=1_700_000_060_000,
        tenant=TenantContext("acme", "acme", "tenant_acme"),
    )


def ignore(event: bytes) -> None:
    raise AssertionError(f"nobody was to tell {event!r}")


async def in_a_slot(pool: HandlerProcesses, call: ProcessCall, on_event: Callable[[bytes], None]) -> bytes:
    async with pool.slots:
        return await pool.run(call, on_event)


async def run(pool: HandlerProcesses, definition: JobDefinition[..., Any], *args: Any, **kwargs: Any) -> Any:
    async with asyncio.timeout(SOON):
        value = await in_a_slot(pool, call_of(definition, *args, **kwargs), ignore)
    return signature_of(definition).returns.decode(value)


class Running:
    """A call that runs, and the number that its handler told."""

    def __init__(self, pool: HandlerProcesses, definition: JobDefinition[..., Any], *args: Any) -> None:
        self.told: asyncio.Queue[bytes] = asyncio.Queue()
        self.task = asyncio.create_task(in_a_slot(pool, call_of(definition, *args), self.told.put_nowait))

    async def number(self) -> int:
        async with asyncio.timeout(SOON):
            return int(await self.told.get() or b"0")

    async def cancelled(self) -> float:
        """Cancel it; return how many seconds that took."""
        began = time.monotonic()
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task
        return time.monotonic() - began
