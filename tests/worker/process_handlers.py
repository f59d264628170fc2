"""Handlers that the tests run in processes."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from asyncjobs import App, Cancel, Limit, RateLimited, current_job, job
from asyncjobs.worker.processes.child import emit

app = App("memory://", prefix="process-handlers")


class Point(msgspec.Struct):
    x: int
    y: int


class Trouble(Exception):
    """An error of the program's own."""


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@app.job
def mirrored(point: Point, *, about: int = 0) -> Point:
    return Point(about - point.x, about - point.y)


def named(**given: int) -> dict[str, int]:
    return given


@app.job
def whoami() -> int:
    return os.getpid()


@app.job
def slow_whoami(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


@app.job
def told() -> list[Any]:
    one = current_job()
    return [one.id, one.name, one.queue, one.priority, one.attempt, one.metadata, one.tenant, one.deadline]


@app.job
async def told_async() -> str:
    await asyncio.sleep(0)
    return current_job().id


@job
def library_job() -> None: ...


@app.job
def send_library_job() -> None:
    library_job.delay_sync()


@app.job
def fail() -> None:
    try:
        raise KeyError("the cause")
    except KeyError as error:
        raise Trouble("out of order") from error


@app.job
def fail_locally() -> None:
    class Hidden(Exception): ...

    raise Hidden("nobody finds me")


@app.job
def fail_unspeakably() -> None:
    raise Unspeakable


@app.job
def fail_with_surrogate() -> None:
    raise ValueError("\udc80.txt")


@app.job
def fail_with_a_class_of_its_own() -> None:
    from tests.worker.slow_errors import Late

    raise Late


@app.job
def fail_at_length() -> None:
    raise ValueError("x" * 10_000_000)


@app.job
def cancel_at_length() -> None:
    raise Cancel("x" * 10_000_000)


@app.job(executor="process", limits=Limit("customer", running=2).by("key"))
def refused(key: int) -> None:
    raise RateLimited("customer", after=30)


@app.job
def leave() -> None:
    sys.exit(3)


@app.job
def unencodable():  # type: ignore[no-untyped-def]
    return object()


@app.job
def spin() -> None:
    emit(str(os.getpid()).encode())
    while True:
        pass


@app.job
def spin_with_a_program() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as program:
        emit(str(program.pid).encode())


@app.job
def crash_with_a_program() -> None:
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    emit(str(program.pid).encode())
    os._exit(3)


@app.job
def spin_with_a_session() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as program:
        emit(str(program.pid).encode())


@app.job
def spin_with_an_orphan() -> None:
    """Start a program whose parent has ended, and that is in no group of ours."""
    command = [sys.executable, "-c", DAEMON]
    emit(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    time.sleep(60)


DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    print(os.getpid(), flush=True)
    os.close(1)
    time.sleep(60)
"""


@app.job
def exit_at_once(code: int) -> None:
    emit(b"going")
    os._exit(code)


@app.job
def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@app.job
def close_everything() -> None:
    os.closerange(3, 1000)
    time.sleep(60)


@app.job
def count(to: int) -> int:
    for number in range(to):
        emit(str(number).encode())
    return to


@app.job
def count_in_threads() -> None:
    threads = [threading.Thread(target=emit, args=(bytes([number]) * 100_000,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@app.job
def length(text: str) -> int:
    return len(text)


@app.job
def repeated(text: str, times: int) -> str:
    return text * times


@app.job
def say(text: str) -> None:
    print(text)


@app.job
def environment() -> dict[str, str]:
    return dict(os.environ)


@app.job
def blocked_by_c() -> None:
    emit(b"")
    # Holds the GIL, as much of C code does.
    ctypes.PyDLL(None).sleep(60)


@app.job
def forked() -> int:
    """Return what a forked process says of emit()."""
    pid = os.fork()
    if pid == 0:
        try:
            emit(b"from the fork")
        except LookupError:
            os._exit(7)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _loud(function: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> str:
        return function(*args, **kwargs).upper()

    return wrapper


@app.job
@_loud
def shouted(text: str) -> str:
    return text


class Grouped:
    @staticmethod
    @app.job
    def inside(text: str) -> str:
        return f"inside: {text}"


def _plain(number: int) -> int:
    return number + 1


plain_job = app.job(name="plain")(_plain)


@app.job
def taken() -> None: ...


taken_job, taken = taken, 7  # type: ignore[assignment]


def make_local() -> Any:
    @app.job
    def local() -> None: ...

    return local
