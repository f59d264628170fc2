"""What the tests of the worker share."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asyncjobs import job
from asyncjobs.worker.processes.pool import HandlerProcesses
from tests.worker.pools import is_alive


@job
def doubled_text(text: str) -> str:
    """A library's job, of the default registry."""
    return text * 2


@pytest.fixture
def library_job() -> Any:
    """A job that belongs to no app."""
    return doubled_text


@pytest.fixture
async def pool() -> AsyncIterator[HandlerProcesses]:
    """A pool of two, after whose end no process is left."""
    processes = HandlerProcesses(2)
    yield processes
    pids = processes.pids
    await processes.close()
    assert [pid for pid in pids if is_alive(pid)] == []
    # Sockets and processes that weren't closed warn when they are collected.
    gc.collect()
