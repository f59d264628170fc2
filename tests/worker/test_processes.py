"""Handlers in processes: what comes back, what stops them, and that nothing of them is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from asyncjobs.core.job import create_job, start_job
from asyncjobs.core.priority import Priority
from asyncjobs.core.record.envelope import Envelope
from asyncjobs.core.tenancy import TenantContext
from asyncjobs.errors import AppNotOpen, DefinitionError, ResultError
from asyncjobs.jobs.definition import JobDefinition, signature_of
from asyncjobs.jobs.ids import new_id
from asyncjobs.jobs.steering import Cancel, pack_steering, unpack_steering
from asyncjobs.worker.processes.child import emit
from asyncjobs.worker.processes.pool import HandlerFailed, HandlerProcesses, ProcessCall, ProcessDied
from asyncjobs.worker.processes.protocol import Event, Frames, encode_message
from tests.waiting import SOON, until
from tests.worker import process_handlers as handlers

pytestmark = pytest.mark.anyio


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


# -- what comes back


async def test_the_value_comes_back_as_the_type_that_was_returned(pool: HandlerProcesses) -> None:
    assert await run(pool, handlers.mirrored, handlers.Point(1, 2), about=10) == handlers.Point(9, 8)


async def test_processes_are_reused(pool: HandlerProcesses) -> None:
    pids = {await run(pool, handlers.whoami) for _ in range(5)}
    assert pids == pool.pids
    assert len(pids) == 1
    assert os.getpid() not in pids


async def test_no_more_processes_run_than_the_pool_has_slots(pool: HandlerProcesses) -> None:
    pids = await asyncio.gather(*(run(pool, handlers.slow_whoami, 0.1) for _ in range(6)))
    assert len(set(pids)) == 2


async def test_calls_that_wait_are_served_in_their_order() -> None:
    pool = HandlerProcesses(1)
    order: list[int] = []

    async def one(number: int) -> None:
        await run(pool, handlers.whoami)
        order.append(number)

    await asyncio.gather(*map(one, range(6)))
    await pool.close()
    assert order == [0, 1, 2, 3, 4, 5]


async def test_large_arguments_and_results_pass(pool: HandlerProcesses) -> None:
    assert await run(pool, handlers.length, "é" * 3_000_000) == 3_000_000
    assert await run(pool, handlers.repeated, "é", 3_000_000) == "é" * 3_000_000


async def test_current_job_tells_of_the_job_in_a_sync_and_in_an_async_handler(pool: HandlerProcesses) -> None:
    call = call_of(handlers.told)
    value = msgspec.msgpack.decode(await pool.run(call, ignore))
    assert value[:7] == [call.job.id, "told", "images", "high", 3, {"order": 7}, "acme"]
    assert value[7].isoformat().startswith("2023-11-14T22:14:20")
    other = call_of(handlers.told_async)
    assert msgspec.msgpack.decode(await pool.run(other, ignore)) == other.job.id


@pytest.mark.parametrize(
    ("definition", "argument", "expected"),
    [
        (handlers.shouted, "hey", "HEY"),
        (handlers.Grouped.inside, "x", "inside: x"),
        (handlers.plain_job, 1, 2),
    ],
    ids=["behind a decorator", "in a class", "not decorated"],
)
async def test_a_handler_is_found_under_the_name_it_has_in_its_module(
    pool: HandlerProcesses, definition: JobDefinition[..., Any], argument: object, expected: object
) -> None:
    assert await run(pool, definition, argument) == expected


async def test_prints_go_where_those_of_the_worker_go(
    pool: HandlerProcesses, capfd: pytest.CaptureFixture[str]
) -> None:
    await run(pool, handlers.say, "good morning")
    await run(pool, handlers.whoami)
    assert capfd.readouterr().out == "good morning\n"


async def test_the_environment_is_that_of_the_worker(pool: HandlerProcesses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    expected = dict(os.environ)
    assert await run(pool, handlers.environment) == expected


# -- events


async def test_what_a_handler_tells_arrives_in_order_and_before_the_value(pool: HandlerProcesses) -> None:
    told: list[bytes] = []
    await pool.run(call_of(handlers.count, 1000), told.append)
    assert told == [str(number).encode() for number in range(1000)]


async def test_what_a_handler_tells_from_many_threads_arrives_whole(pool: HandlerProcesses) -> None:
    told: list[bytes] = []
    await pool.run(call_of(handlers.count_in_threads), told.append)
    assert sorted(told) == [bytes([number]) * 100_000 for number in range(8)]


async def test_what_was_told_right_before_a_crash_arrives(pool: HandlerProcesses) -> None:
    told: list[bytes] = []
    with pytest.raises(ProcessDied):
        await pool.run(call_of(handlers.exit_at_once, 0), told.append)
    assert told == [b"going"]


async def test_a_fault_of_who_is_told_ends_the_call_and_not_the_pool(pool: HandlerProcesses) -> None:
    with pytest.raises(AssertionError, match="nobody was to tell"):
        await run(pool, handlers.count, 3)
    assert await run(pool, handlers.mirrored, handlers.Point(1, 2)) == handlers.Point(-1, -2)


def test_telling_outside_a_handler_is_refused() -> None:
    with pytest.raises(LookupError, match="no handler runs"):
        emit(b"")


async def test_a_process_that_a_handler_forks_does_not_speak_for_it(pool: HandlerProcesses) -> None:
    assert await run(pool, handlers.forked) == 7


# -- failures


async def failure(pool: HandlerProcesses, definition: JobDefinition[..., Any]) -> HandlerFailed:
    with pytest.raises(HandlerFailed) as caught:
        await run(pool, definition)
    return caught.value


async def test_an_exception_comes_back_with_its_class_and_the_traceback_of_the_process(pool: HandlerProcesses) -> None:
    error = await failure(pool, handlers.fail)
    assert (error.type_name, error.message) == ("tests.worker.process_handlers.Trouble", "out of order")
    assert (error.kinds[0], error.kind) == ((handlers.__name__, "Trouble"), handlers.Trouble)
    assert "KeyError: 'the cause'" in error.traceback
    assert 'raise Trouble("out of order") from error' in error.traceback
    assert (error.stage, error.steering) == ("handler", b"")


async def test_a_failure_leaves_the_process_for_the_next_call(pool: HandlerProcesses) -> None:
    before = await run(pool, handlers.whoami)
    await failure(pool, handlers.fail)
    assert await run(pool, handlers.whoami) == before


async def test_a_class_that_cannot_be_found_counts_as_any_exception(pool: HandlerProcesses) -> None:
    error = await failure(pool, handlers.fail_locally)
    assert error.type_name.endswith("fail_locally.<locals>.Hidden")
    assert error.kind is Exception


async def test_a_class_that_the_worker_has_not_imported_counts_as_its_bases(pool: HandlerProcesses) -> None:
    error = await failure(pool, handlers.fail_with_a_class_of_its_own)
    assert error.type_name == "tests.worker.slow_errors.Late"
    began = time.monotonic()
    assert issubclass(error.kind, ValueError)
    assert issubclass(error.kind, LookupError)
    assert not issubclass(error.kind, OSError)
    assert time.monotonic() - began < 1
    assert "tests.worker.slow_errors" not in sys.modules


async def test_the_text_of_an_exception_is_cut_short_in_its_process(pool: HandlerProcesses) -> None:
    error = await failure(pool, handlers.fail_at_length)
    assert len(error.message) + len(error.traceback) < 20_000
    error = await failure(pool, handlers.cancel_at_length)
    assert len(error.steering) < 20_000


@pytest.mark.parametrize("reason", [object(), 7, None], ids=["object", "int", "None"])
async def test_a_reason_that_is_no_text_comes_back_as_text(reason: object) -> None:
    cancel = Cancel()
    # Given at the call it is refused; a class of the user's own may set it all the same.
    cancel.args = (reason,)
    assert str(unpack_steering(pack_steering(cancel))) == str(reason)


async def test_exceptions_without_a_text_of_their_own_come_back_too(pool: HandlerProcesses) -> None:
    assert "no words" in (await failure(pool, handlers.fail_unspeakably)).message
    assert (await failure(pool, handlers.fail_with_surrogate)).message == "\\udc80.txt"


async def test_a_handler_that_calls_sys_exit_has_failed_and_ends_nothing(pool: HandlerProcesses) -> None:
    before = await run(pool, handlers.whoami)
    error = await failure(pool, handlers.leave)
    assert (error.type_name, error.message, error.kind) == ("SystemExit", "3", SystemExit)
    assert await run(pool, handlers.whoami) == before


async def test_a_value_that_cannot_be_encoded_is_a_failure_of_the_result(pool: HandlerProcesses) -> None:
    error = await failure(pool, handlers.unencodable)
    assert (error.stage, error.type_name, error.kind) == ("result", "ResultError", ResultError)
    assert error.message.startswith("the result of type object can't be encoded")


async def test_arguments_that_do_not_fit_are_a_failure_of_the_arguments(pool: HandlerProcesses) -> None:
    other = call_of(handlers.length, "text")
    call = msgspec.structs.replace(call_of(handlers.mirrored, handlers.Point(1, 1)), job=other.job)
    with pytest.raises(HandlerFailed, match="stored arguments do not fit") as caught:
        await pool.run(call, ignore)
    assert caught.value.stage == "arguments"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("tests.worker.nowhere", "f"), "importing its module raised ModuleNotFoundError: No module named"),
        (("tests.worker.process_handlers", "nothing"), "there is no 'nothing' in <module"),
        (("tests.worker.process_handlers", "taken"), "is no handler but a int"),
        (("tests.worker.process_handlers", "make_local.<locals>.local"), "is defined inside a function"),
        (("__main__", "f"), "the program is no file"),
    ],
)
async def test_a_handler_that_cannot_be_imported_is_a_failure_that_says_why(
    pool: HandlerProcesses, names: tuple[str, str], message: str
) -> None:
    module, qualname = names
    call = msgspec.structs.replace(call_of(handlers.whoami), module=module, qualname=qualname)
    with pytest.raises(HandlerFailed, match=message) as caught:
        await pool.run(call, ignore)
    assert (caught.value.stage, caught.value.kind) == ("import", DefinitionError)
    assert len(pool.pids) == 1


async def test_sending_with_the_workers_app_is_refused_with_advice(pool: HandlerProcesses) -> None:
    error = await failure(pool, handlers.send_library_job)
    assert error.kind is AppNotOpen
    assert ".with_options(app=app).delay_sync" in error.message


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
    began = time.monotonic()
    await pool.close()
    assert time.monotonic() - began < 1.0
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


SCRIPT = """
    import asyncio, os, subprocess, sys, time
    sys.path.insert(0, {root!r})
    from asyncjobs import App, current_job
    from asyncjobs.core.record.envelope import Envelope
    from asyncjobs.worker.processes.child import emit
    from asyncjobs.worker.processes.pool import HandlerFailed, HandlerProcesses
    from tests.worker.test_processes import call_of

    app = App("memory://")

    class Own(Exception): ...

    @app.job
    def spin() -> None:
        program = subprocess.Popen(["sleep", "60"], start_new_session=True)
        emit(str(program.pid).encode())
        while True:
            pass

    @app.job
    def fail() -> None:
        raise Own(__name__)

    @app.job
    def sleep() -> None:
        time.sleep(0.2)

    async def main() -> None:
        pool = HandlerProcesses(2)
        try:
            await pool.run(call_of(fail), print)
        except HandlerFailed as error:
            print(error.type_name, error.message, error.kind is Own, flush=True)
        await asyncio.gather(*(pool.run(call_of(sleep), print) for _ in range(2)))
        if "close" in sys.argv:
            return await pool.close()
        told = asyncio.Queue()
        task = asyncio.create_task(pool.run(call_of(spin), told.put_nowait))
        print(*pool.pids, (await told.get()).decode(), flush=True)
        await asyncio.sleep(60)

    {start}
"""
GUARDED = 'if __name__ == "__main__":\n        asyncio.run(main())'


def write_script(folder: Path, start: str) -> Path:
    script = folder / "program.py"
    root = str(Path(__file__).parents[2])
    script.write_text(textwrap.dedent(SCRIPT.format(root=root, start=start)))
    return script


async def test_processes_end_when_their_worker_is_killed(tmp_path: Path) -> None:
    script = write_script(tmp_path, GUARDED)
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:  # noqa: ASYNC220 - it is read at once
        assert worker.stdout is not None
        assert worker.stdout.readline() == "__main__.Own __mp_main__ True\n"
        pids = [int(pid) for pid in worker.stdout.readline().split()]
        assert len(pids) == 3
        assert all(map(runs, pids))
        worker.kill()
        # Of a process that is idle, one that spins, and one that this has started in a session of its own.
        for pid in pids:
            await until_gone(pid)


@pytest.mark.parametrize("command", [["program.py"], ["-m", "program"], ["."]], ids=["script", "module", "folder"])
async def test_handlers_of_the_main_module_are_found(tmp_path: Path, command: list[str]) -> None:
    write_script(tmp_path, GUARDED)
    (tmp_path / "__main__.py").write_text((tmp_path / "program.py").read_text())
    ended = subprocess.run(
        [sys.executable, "-W", "error", *command, "close"], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (ended.stdout, ended.stderr) == ("__main__.Own __mp_main__ True\n", "")


async def test_a_script_that_starts_a_worker_unguarded_is_told_so(tmp_path: Path) -> None:
    script = write_script(tmp_path, "asyncio.run(main())")
    ended = subprocess.run([sys.executable, script, "close"], capture_output=True, text=True, timeout=30)
    assert ended.stdout == (
        "asyncjobs.errors.DefinitionError "
        "the handler __main__.fail can't be run in a process: importing its module raised DefinitionError: a process "
        "that was started to run a handler imports the handler's script, and that starts a worker of its own; put what "
        'starts it under `if __name__ == "__main__":` False\n'
    )


# -- frames


def chunks_of(stream: bytes, size: int) -> list[bytes]:
    return [stream[start : start + size] for start in range(0, len(stream), size)]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_frames_are_put_together_however_they_arrive(size: int) -> None:
    stream = b"".join(encode_message(Event(bytes(length))) for length in (0, 1, 300))
    frames = Frames()
    bodies = [body for chunk in chunks_of(stream, size) for body in frames.feed(chunk)]
    decode: Callable[[bytes], Event] = msgspec.msgpack.Decoder(Event).decode
    assert [len(decode(body).data) for body in bodies] == [0, 1, 300]
