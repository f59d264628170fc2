"""What ends a process for handlers, and that nothing of it is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from asyncjobs.jobs.definition import JobDefinition
from asyncjobs.worker.processes.pool import HandlerProcesses, ProcessDied
from tests.waiting import SOON, until
from tests.worker import process_handlers as handlers
from tests.worker.pools import Running, call_of, ignore, in_a_slot, is_alive, run, until_gone

pytestmark = pytest.mark.anyio


# -- processes that end


@pytest.mark.parametrize("code", [0, 3])
async def test_a_process_that_exits_is_told_with_its_code_and_replaced(pool: HandlerProcesses, code: int) -> None:
    call = call_of(handlers.exit_at_once, code)
    with pytest.raises(ProcessDied, match=rf"exited with code {code} before the handler had returned \(pid \d+\)"):
        await pool.run(call, lambda event: None)
    assert pool.pids == set()
    assert await run(pool, handlers.whoami) in pool.pids


async def test_a_process_that_crashes_is_told_with_its_signal_and_replaced(pool: HandlerProcesses) -> None:
    with pytest.raises(ProcessDied, match=r"process of the handler was ended by signal SIGSEGV \(pid \d+\)$"):
        await run(pool, handlers.crash)
    assert await run(pool, handlers.whoami) in pool.pids


async def test_a_process_that_somebody_kills_is_told_with_the_likely_reason(pool: HandlerProcesses) -> None:
    running = Running(pool, handlers.spin)
    os.kill(await running.number(), signal.SIGKILL)
    with pytest.raises(ProcessDied, match=r"SIGKILL .*; the kernel sends it where memory runs out"):
        await running.task


async def test_an_idle_process_that_ends_is_replaced(pool: HandlerProcesses) -> None:
    before = await run(pool, handlers.whoami)
    os.kill(before, signal.SIGKILL)
    await until(lambda: not pool.pids, "the pool knows that its process has ended")
    assert await run(pool, handlers.whoami) != before


async def test_a_process_that_can_no_longer_answer_is_ended(pool: HandlerProcesses) -> None:
    with pytest.raises(ProcessDied, match="SIGKILL"):
        await run(pool, handlers.close_everything)


async def test_control_c_is_ignored_by_the_processes(pool: HandlerProcesses) -> None:
    pid = await run(pool, handlers.whoami)
    os.kill(pid, signal.SIGINT)
    assert await run(pool, handlers.whoami) == pid


# -- cancellation


@pytest.mark.parametrize("definition", [handlers.spin, handlers.blocked_by_c], ids=["python", "c"])
async def test_a_cancelled_call_has_its_process_killed_at_once_and_the_pool_goes_on(
    pool: HandlerProcesses, definition: JobDefinition[..., Any]
) -> None:
    running = Running(pool, definition)
    await running.number()
    [pid] = pool.pids
    assert await running.cancelled() < 1.0
    assert not is_alive(pid)
    assert await run(pool, handlers.whoami) != pid


async def test_a_timeout_stops_a_handler_that_never_returns(pool: HandlerProcesses) -> None:
    await run(pool, handlers.whoami)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await pool.run(call_of(handlers.spin), lambda event: None)
    assert pool.pids == set()


async def test_what_a_handler_has_started_is_killed_with_it(pool: HandlerProcesses) -> None:
    running = Running(pool, handlers.spin_with_a_program)
    program = await running.number()
    await running.cancelled()
    await until_gone(program)


async def test_what_a_handler_has_started_does_not_outlive_its_crash(pool: HandlerProcesses) -> None:
    running = Running(pool, handlers.crash_with_a_program)
    program = await running.number()
    with pytest.raises(ProcessDied):
        await running.task
    await until_gone(program)


@pytest.mark.parametrize("definition", [handlers.spin_with_a_session, handlers.spin_with_an_orphan])
async def test_what_has_left_the_handlers_session_is_killed_with_it(
    pool: HandlerProcesses, definition: JobDefinition[..., Any]
) -> None:
    running = Running(pool, definition)
    program = await running.number()
    await running.cancelled()
    await until_gone(program)


async def test_a_call_cancelled_while_its_process_starts_leaves_nothing(pool: HandlerProcesses) -> None:
    running = Running(pool, handlers.whoami)
    await asyncio.sleep(0)
    [pid] = pool.pids
    await running.cancelled()
    assert not is_alive(pid)
    assert pool.pids == set()


async def test_a_call_cancelled_while_it_waits_costs_no_process(pool: HandlerProcesses) -> None:
    busy = [Running(pool, handlers.slow_whoami, 0.3) for _ in range(2)]
    waiting = [Running(pool, handlers.whoami) for _ in range(10)]
    await asyncio.sleep(0.05)
    pids = pool.pids
    for one in waiting:
        await one.cancelled()
    await asyncio.gather(*(one.task for one in busy))
    after = await asyncio.gather(*(run(pool, handlers.slow_whoami, 0.05) for _ in range(2)))
    assert set(after) == pids


async def test_cancellations_at_any_moment_lose_no_slot(pool: HandlerProcesses) -> None:
    await asyncio.gather(*(run(pool, handlers.slow_whoami, 0.05) for _ in range(2)))

    async def one(number: int) -> None:
        try:
            async with asyncio.timeout(0.0001 * number):
                await in_a_slot(pool, call_of(handlers.whoami), ignore)
        except TimeoutError:
            pass

    for number in range(40):
        await asyncio.gather(one(number), one(number))
    pids = await asyncio.gather(*(run(pool, handlers.slow_whoami, 0.3) for _ in range(2)))
    assert len(set(pids)) == 2


# -- the end of the worker


async def test_close_kills_what_runs_and_refuses_what_waits() -> None:
    pool = HandlerProcesses(1)
    running = Running(pool, handlers.spin)
    pid = await running.number()
    waiting = Running(pool, handlers.whoami)
    await asyncio.sleep(0)
    # It would run for ever.
    async with asyncio.timeout(SOON):
        await pool.close()
    assert not is_alive(pid)
    with pytest.raises(ProcessDied, match=r"SIGKILL \(pid \d+\)$"):
        await running.task
    with pytest.raises(RuntimeError, match="were closed"):
        await waiting.task
    await pool.close()


async def test_close_lets_idle_processes_end_by_themselves() -> None:
    pool = HandlerProcesses(2)
    pids = await asyncio.gather(*(run(pool, handlers.slow_whoami, 0.1) for _ in range(2)))
    descriptors = len(os.listdir("/proc/self/fd"))
    await pool.close()
    assert [pid for pid in pids if is_alive(pid)] == []
    # Two sockets and the lifeline's two ends.
    assert len(os.listdir("/proc/self/fd")) == descriptors - 4
