"""The programs of the guides for those who come from another library: after the move they do what they did before it.

The programs before the move, and those that drain the old queue, need the other library: `nox -s migration`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import pytest

from asyncjobs import App, UnknownJob
from tests.examples import EXAMPLES, WITHIN_S, environment
from tests.waiting import SOON, until_sync


class Library(NamedTuple):
    """A library that the guides lead away from."""

    name: str
    """Of its package, its command and its folder."""

    worker: list[str]
    """The arguments of the command that runs the worker of `before.py`."""

    ready: str
    """What these workers write once they work."""

    forward: list[str]
    """The arguments of the command that runs `forward.py`."""

    send: str
    """Python that sends the job ``thumbnail`` with the id ``old-1`` to the old queue."""

    lines: list[str]
    """What both programs print."""


LIBRARIES = [
    Library(
        "arq",
        ["before.WorkerSettings"],
        "Starting worker",
        ["forward.WorkerSettings"],
        "import asyncio, arq, before\n"
        "async def send():\n"
        "    redis = await arq.create_pool(before.REDIS)\n"
        "    await redis.enqueue_job('thumbnail', 'cat.png', 64, _job_id='old-1')\n"
        "asyncio.run(send())",
        [
            "email: sent 'Welcome!' to ada@example.com at attempt 2",
            "paid: charge-8: 19.99 EUR",
            "sent again: False",
            "refused: failed with CardRefused: the card has expired",
            "picture: cat.png at 64 px",
            "shipped: order 8 shipped",
            "import aborted: True",
            "reminder waits: True",
        ],
    ),
    Library(
        "saq",
        ["before.settings", "-v"],
        "Worker starting",
        ["forward.settings", "-v"],
        "import asyncio, before\n"
        "async def send():\n"
        "    await before.queue.enqueue('thumbnail', path='cat.png', size=64, key='old-1')\n"
        "    await before.queue.disconnect()\n"
        "asyncio.run(send())",
        [
            "email: sent 'Hi' to ada@example.com at attempt 2",
            "paid: order 8: 1999 cents",
            "sent again: False",
            "refused: failed with CardRefused: the card has expired",
            "picture: cat.png at 64 px",
            "import has progress: True",
            "import aborted: True",
        ],
    ),
    Library(
        "celery",
        ["-A", "before", "worker", "-Q", "celery,payments", "-c", "4", "-l", "INFO"],
        " ready.",
        ["-A", "forward", "worker", "-Q", "celery,payments", "-c", "1", "-l", "INFO"],
        "import before\nbefore.thumbnail.apply_async(('cat.png', 64), task_id='old-1')",
        [
            "email: sent 'Hi' to ada@example.com at attempt 2",
            "paid: order 8: 1999 cents",
            "refused: failed with CardRefused",
            "picture: cat.png at 64 px",
            "shipped: order 8 shipped",
            "stuck: failed",
            "reminder revoked",
        ],
    ),
    Library(
        "rq",
        ["worker", "--with-scheduler", "payments", "default"],
        "Listening on",
        ["worker", "--job-class", "forward.Forward", "--with-scheduler", "payments", "default"],
        "import before\nbefore.queue.enqueue('before.thumbnail', 'cat.png', 64, job_id='old-1')",
        [
            "email: sent 'Hi' to ada@example.com at attempt 2",
            "paid: order 8: 1999 cents",
            "refused: failed with CardRefused",
            "picture: cat.png at 64 px",
            "shipped: order 8 shipped",
            "stuck: failed",
            "reminder canceled: True",
        ],
    ),
]


@pytest.fixture(params=LIBRARIES, ids=[library.name for library in LIBRARIES])
def library(request: pytest.FixtureRequest) -> Library:
    """Each library in turn."""
    found: Library = request.param
    return found


@pytest.fixture
def there(library: Library) -> Library:
    """Each library that is installed."""
    if importlib.util.find_spec(library.name) is None:
        pytest.skip(f"{library.name} is not installed; nox -s migration installs it")
    return library


def variables(url: str) -> dict[str, str]:
    return environment(ASYNCJOBS_URL=url, REDIS_URL=url, RQ_REDIS_URL=url, PYTHONPATH=str(EXAMPLES.parent))


@contextlib.contextmanager
def worker(library: Library, url: str, ready: str, *command: str) -> Iterator[None]:
    """Run a worker in the folder of the library until the end of the block, which begins once it has written ``ready``.

    SAQ's worker looks for abandoned jobs as it starts, and takes one that it is just about to run for one.
    """
    process = subprocess.Popen(
        command,
        cwd=folder(library),
        env=variables(url),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    works = threading.Event()
    reader = threading.Thread(target=_read, args=(process.stdout, ready, works))
    reader.start()
    try:
        assert works.wait(WITHIN_S), f"the worker has not written {ready!r}"
        yield
    finally:
        process.terminate()
        try:
            process.wait(WITHIN_S)
        finally:
            process.kill()
            reader.join()
            process.stdout.close()
            process.wait()


def _read(output: IO[str], ready: str, works: threading.Event) -> None:
    for line in output:
        if ready in line:
            works.set()


def new_worker(library: Library, url: str) -> contextlib.AbstractContextManager[None]:
    return worker(library, url, " serves ", sys.executable, "-m", "asyncjobs", "worker", "after:app")


def folder(library: Library) -> Path:
    return EXAMPLES / "migrate" / library.name


def old_command(library: Library) -> str:
    return str(Path(sys.executable).parent / library.name)


def run(library: Library, url: str, *arguments: str) -> list[str]:
    """Run a Python program to its end, and return the lines that it printed."""
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder(library),
        env=variables(url),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    # The libraries call a timeout by different names.
    return ["stuck: failed" if line.startswith("stuck: failed") else line for line in ended.stdout.splitlines()]


def test_the_program_after_the_move_does_what_the_guide_says(library: Library, redis_url: str) -> None:
    with new_worker(library, redis_url):
        assert run(library, redis_url, "after.py") == library.lines


def test_the_program_before_the_move_did_the_same(there: Library, redis_url: str) -> None:
    with worker(there, redis_url, there.ready, old_command(there), *there.worker):
        assert run(there, redis_url, "before.py") == there.lines


def test_what_waits_in_the_old_queue_goes_on_in_the_new_one(there: Library, redis_url: str) -> None:
    app = App(redis_url)
    handle = app.handle("old-1")
    run(there, redis_url, "-c", there.send)

    def is_forwarded() -> bool:
        with contextlib.suppress(UnknownJob):
            return bool(app.sync.find_job("old-1"))
        return False

    with (
        worker(there, redis_url, there.ready, old_command(there), *there.forward),
        new_worker(there, redis_url),
    ):
        until_sync(is_forwarded, "the job in the new queue", within=WITHIN_S)
        assert app.sync.result(handle, timeout=SOON) == "cat.png at 64 px"
