"""One app in several loops, threads and processes, and without a loop: it works, or says at once why it can't."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from asyncjobs import App, AppNotOpen, BrokerUnavailable, Worker
from tests.servers import free_port, server
from tests.waiting import SOON

# A fork in a process with threads, and connections of loops that have ended, warn.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _collect() -> Iterator[None]:
    """Let the connections of loops that have ended warn here, where the warnings are expected."""
    yield
    gc.collect()


@pytest.fixture
def app(redis_url: str) -> App:
    """An app with a job on a server."""
    return with_job(App(redis_url))


def with_job(app: App) -> App:
    @app.job
    async def work(number: int) -> None: ...

    return app


def send(app: App, number: int = 0) -> None:
    app.registry.get("work").delay_sync(number)


async def open_and_send(app: App) -> None:
    async with app:
        await app.registry.get("work").delay(0)


def size(app: App) -> int:
    return app.sync.queue_stats("default").size


def in_threads(count: int, call: Callable[[], Any]) -> list[Any]:
    """Call it in so many threads at once; return what each has returned or raised, within a bound."""
    replies: list[Any] = []

    def run() -> None:
        try:
            replies.append(call())
        except BaseException as error:
            replies.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert len(replies) == count, f"{count - len(replies)} calls hang"
    return replies


def exit_code_of_fork(call: Callable[[], Any]) -> int | None:
    """Call it in a forked process; return the exit code, ``None`` if it hangs."""
    process = multiprocessing.get_context("fork").Process(target=call, daemon=True)
    process.start()
    process.join(10)
    code = process.exitcode
    process.kill()
    process.join()
    return code


# -- while the server is away


@pytest.fixture(params=["redis://127.0.0.1", "redis+sentinel://127.0.0.1", "redis+cluster://127.0.0.1"])
def away(request: pytest.FixtureRequest) -> App:
    """An app whose server isn't there."""
    service = "/mymaster/0" if "sentinel" in request.param else ""
    return with_job(App(f"{request.param}:{free_port()}{service}", send_timeout=0.1))


def test_calls_that_cant_reach_the_server_leave_nothing_behind(away: App) -> None:
    def fail() -> tuple[int, int]:
        for call in (lambda: send(away), away.sync.stats):
            with pytest.raises(BrokerUnavailable):
                call()
        gc.collect()
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    before = fail()
    for _ in range(5):
        after = fail()
    assert after == before


def test_the_first_call_tries_for_send_timeout() -> None:
    with server() as late:
        app = with_job(App(late.url, send_timeout=SOON))
        late.kill()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            sent = pool.submit(send, app)
            time.sleep(0.7)
            late.start()
            sent.result(SOON)
        assert size(app) == 1


@pytest.mark.parametrize("many", [False, True], ids=["delay_sync", "enqueue_many"])
def test_the_first_call_gives_up_after_send_timeout(many: bool) -> None:
    app = with_job(App(f"redis://127.0.0.1:{free_port()}", send_timeout=1))
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        app.sync.enqueue_many([app.registry.get("work").request(1)]) if many else send(app)
    assert 0.5 < time.monotonic() - began < 3


def test_calls_of_many_threads_do_not_wait_for_one_another() -> None:
    app = with_job(App(f"redis://127.0.0.1:{free_port()}", send_timeout=1))
    began = time.monotonic()
    replies = in_threads(16, lambda: send(app))
    assert {type(reply) for reply in replies} == {BrokerUnavailable}
    assert time.monotonic() - began < 4


def test_a_server_that_hangs_holds_the_first_call_up_for_send_timeout() -> None:
    with server() as frozen:
        app = with_job(App(frozen.url, send_timeout=0.5))
        os.kill(frozen.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            replies = in_threads(4, lambda: send(app))
            assert {type(reply) for reply in replies} == {BrokerUnavailable}
            assert time.monotonic() - began < 4
        finally:
            os.kill(frozen.pid, signal.SIGCONT)
        send(app)


# -- forked processes


def test_a_forked_process_opens_the_app_that_its_parent_has_open(app: App) -> None:
    send(app)
    assert exit_code_of_fork(lambda: asyncio.run(open_and_send(app))) == 0
    assert exit_code_of_fork(lambda: send(app)) == 0
    send(app)
    assert size(app) == 4


def test_a_process_that_is_forked_from_a_loop_opens_the_app_anew(app: App) -> None:
    async def main() -> None:
        async with app:
            await app.registry.get("work").delay(0)
            # From a thread, as a plain handler does it, and from the loop's own.
            assert in_threads(1, lambda: exit_code_of_fork(lambda: asyncio.run(open_and_send(app)))) == [0]
            assert exit_code_of_fork(lambda: send(app)) == 0
            await app.registry.get("work").delay(0)

    asyncio.run(main())
    assert size(app) == 4


def test_a_forked_process_in_which_the_app_is_not_opened_says_so(app: App) -> None:
    async def use() -> None:
        with pytest.raises(AppNotOpen, match="async with app"):
            app.registry.get("work").delay(0)
        with pytest.raises(AppNotOpen, match="async with app"):
            await app.stats()

    send(app)
    assert exit_code_of_fork(lambda: asyncio.run(use())) == 0


def test_a_fork_while_a_thread_opens_the_app_does_not_block_the_child() -> None:
    app = with_job(App(f"redis://127.0.0.1:{free_port()}", send_timeout=2))
    thread = threading.Thread(target=lambda: in_threads(4, lambda: send(app)), daemon=True)
    thread.start()
    time.sleep(0.1)

    def child() -> None:
        with pytest.raises(BrokerUnavailable):
            send(app)

    assert exit_code_of_fork(child) == 0
    thread.join(SOON)


def test_a_parent_goes_on_after_its_child_has_let_go_of_its_connections(app: App) -> None:
    send(app)

    async def collect() -> None:
        await open_and_send(app)
        gc.collect()

    assert exit_code_of_fork(lambda: asyncio.run(collect())) == 0
    began = time.monotonic()
    for _ in range(3):
        send(app)
        assert size(app)
    assert time.monotonic() - began < 2


# -- several loops


@contextlib.contextmanager
def loop_of_another_thread(app: App) -> Iterator[tuple[asyncio.AbstractEventLoop, Callable[[], None]]]:
    """Open the app in a loop of another thread; the function ends that loop as ``asyncio.run`` does."""
    opened, end = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        async with app:
            opened.set()
            await end.wait()

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(main())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert opened.wait(SOON)

    def stop() -> None:
        if thread.is_alive():
            loops[0].call_soon_threadsafe(end.set)
        thread.join(SOON)
        assert not thread.is_alive()

    yield loops[0], stop
    stop()


def test_an_app_is_used_from_the_loop_of_another_thread_until_its_own_has_ended(app: App) -> None:
    async def main(stop: Callable[[], None]) -> None:
        async with app:
            await app.registry.get("work").delay(1)
            stop()
            with pytest.raises(AppNotOpen, match="has ended, or does not run"):
                await app.registry.get("work").delay(2)
            with pytest.raises(AppNotOpen, match="has ended, or does not run"):
                await app.stats()
        await open_and_send(app)

    with loop_of_another_thread(app) as (_, stop):
        asyncio.run(asyncio.wait_for(main(stop), SOON))
    send(app)
    assert size(app) == 3


def test_a_call_that_the_end_of_the_apps_loop_cuts_off_says_so(app: App) -> None:
    async def main(stop: Callable[[], None]) -> None:
        async with app:
            handle = await app.registry.get("work").delay(1)
            waits = asyncio.create_task(handle.result())
            await asyncio.sleep(0.1)
            await asyncio.to_thread(stop)
            with pytest.raises(AppNotOpen, match="has ended, or does not run"):
                await waits

    with loop_of_another_thread(app) as (_, stop):
        asyncio.run(asyncio.wait_for(main(stop), SOON))
    with loop_of_another_thread(app) as (loop, _):
        handle = asyncio.run_coroutine_threadsafe(_sent(app), loop).result(SOON)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            waits = pool.submit(app.sync.result, handle)
            loop.call_soon_threadsafe(_cancel_all)
            with pytest.raises(AppNotOpen, match="has ended, or does not run"):
                waits.result(SOON)


async def _sent(app: App) -> Any:
    return await app.registry.get("work").delay(1)


def _cancel_all() -> None:
    for task in asyncio.all_tasks():
        task.cancel()


def test_a_worker_in_another_loop_than_its_apps_is_refused(app: App) -> None:
    with loop_of_another_thread(app), pytest.raises(AppNotOpen, match="opened in its own"):
        asyncio.run(asyncio.wait_for(Worker(app).run_until_empty(), SOON))


def test_an_app_whose_loop_ended_without_closing_it_is_opened_anew(app: App) -> None:
    for use in (lambda: asyncio.run(open_and_send(app)), lambda: send(app), lambda: asyncio.run(open_and_send(app))):
        asyncio.run(app.__aenter__())
        in_threads(1, use)
    assert size(app) == 3


def test_an_app_whose_loop_does_not_run_says_so(app: App) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(app.__aenter__())
    for use in (lambda: send(app), lambda: asyncio.run(open_and_send(app)), app.sync.stats):
        [reply] = in_threads(1, use)
        assert type(reply) is AppNotOpen
        assert "does not run" in str(reply)
    loop.run_until_complete(_sent(app))
    loop.run_until_complete(app.__aexit__())
    loop.close()
    assert size(app) == 1


@pytest.mark.parametrize("thread_ends", [True, False], ids=["of-a-thread-that-has-ended", "of-this-thread"])
def test_an_app_whose_loop_was_left_is_opened_anew(app: App, thread_ends: bool) -> None:
    def leave() -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(app.__aenter__())
        loop.run_until_complete(_sent(app))

    for use in (lambda: asyncio.run(open_and_send(app)), lambda: send(app)):
        in_threads(1, leave) if thread_ends else leave()
        use()
    assert size(app) == 4


def test_an_app_that_loops_and_threads_open_at_once_works_in_each(app: App, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(10):
        # The records of errors keep connections of loops that have ended.
        caplog.clear()
        gc.collect()
        uses = iter([lambda: asyncio.run(open_and_send(app)), lambda: send(app)] * 4)
        replies = in_threads(8, lambda uses=uses: next(uses)())
        # One that began while the loop of another was just ending may be told so.
        assert {type(reply) for reply in replies} <= {type(None), AppNotOpen}
    sent = size(app)
    caplog.clear()
    send(app)
    assert size(app) == sent + 1
