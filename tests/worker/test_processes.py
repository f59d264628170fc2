"""Handlers in processes: what comes back of their values, events and failures."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from asyncjobs.errors import AppNotOpen, DefinitionError, ResultError
from asyncjobs.jobs.definition import JobDefinition
from asyncjobs.jobs.steering import Cancel, pack_steering, unpack_steering
from asyncjobs.worker.processes.child import emit
from asyncjobs.worker.processes.pool import HandlerFailed, HandlerProcesses, ProcessDied
from asyncjobs.worker.processes.protocol import Event, Frames, encode_message
from tests.worker import process_handlers as handlers
from tests.worker.pools import call_of, ignore, run

pytestmark = pytest.mark.anyio


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
    # The import takes three seconds.
    assert time.monotonic() - began < 2.5
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
