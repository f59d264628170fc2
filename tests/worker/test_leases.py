"""Leases kept, lost and recovered."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from asyncjobs import App, BrokerUnavailable, JobFailed, JobState, RetryPolicy, Worker, current_job
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.ports import Claim, ClaimRequest, Extension
from asyncjobs.ports.clock import SystemClock
from asyncjobs.worker.broker_clock import BrokerClock
from asyncjobs.worker.execution.executor import Executor
from asyncjobs.worker.leases import Leases
from asyncjobs.worker.settler import Settler
from tests.apps import broker_of, host_of
from tests.waiting import SOON, Notes, until, until_workers

pytestmark = pytest.mark.anyio


async def test_a_handler_that_blocks_the_loop_for_several_leases_keeps_them_all(make_app: Callable[..., App]) -> None:
    app = make_app(lease=1)
    runs = []

    @app.job
    async def neighbour() -> None:
        runs.append("neighbour")
        await asyncio.sleep(0.5)

    @app.job
    async def blocker() -> None:
        runs.append("blocker")
        time.sleep(2.5)

    other = make_app(lease=1)
    async with app, other:
        for _ in range(3):
            await neighbour.delay()
        await blocker.delay()
        stop = asyncio.Event()

        async def recover_elsewhere() -> None:
            while not stop.is_set():
                await broker_of(app).recover(["default"], 1000, 3)
                await asyncio.sleep(0.05)

        recovery = asyncio.ensure_future(recover_elsewhere())
        await Worker(app).run_until_empty()
        stop.set()
        await recovery
        figures = await app.queue_stats("default")
    assert sorted(runs) == ["blocker"] + ["neighbour"] * 3
    assert (figures.succeeded_total, figures.recovered_total) == (4, 0)


async def test_a_handler_that_blocks_the_loop_is_named_with_its_stack(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()

    @app.job
    async def blocker() -> None:
        time.sleep(2)

    async with app, app.worker():
        handle = await blocker.delay()
        await handle.result(SOON)
        await until(lambda: "runs again" in caplog.text, "the log says that the loop runs again")
    [report] = [record.getMessage() for record in caplog.records if "has been blocked" in record.getMessage()]
    assert f"by job {handle.id} (blocker)" in report
    assert "time.sleep(2)" in report


async def _report_of_a_block(caplog: pytest.LogCaptureFixture) -> str:
    await until(lambda: "runs again" in caplog.text, "the log says that the loop runs again")
    [report] = [record.getMessage() for record in caplog.records if "has been blocked" in record.getMessage()]
    return report.partition("\n")[0]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a task does not tell its context")
async def test_a_handler_that_blocks_the_loop_in_a_task_of_its_own_is_named(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    async def block() -> None:
        time.sleep(2)

    @app.job
    async def blocker() -> None:
        await asyncio.gather(block())

    async with app, app.worker():
        handle = await blocker.delay()
        await handle.result(SOON)
        assert f"by job {handle.id} (blocker); make the handler a plain" in await _report_of_a_block(caplog)


async def test_what_blocks_the_loop_and_is_no_handler_is_not_told_to_become_a_plain_function(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    async with app, app.worker():
        # Long enough to be seen by a thread that a busy machine keeps from looking.
        asyncio.get_running_loop().call_soon(time.sleep, 4)
        report = await _report_of_a_block(caplog)
    assert report.endswith("by code outside of handlers' own tasks; move the work with asyncio.to_thread")


async def test_a_loop_that_is_blocked_is_not_told_as_a_server_that_is_away(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(f"{redis_url}?command_timeout=0.5", prefix=f"blocked{os.getpid()}")

    @app.job
    async def note() -> None: ...

    @app.job
    async def blocker() -> None:
        lookup = asyncio.create_task(app.stats())
        await asyncio.sleep(0.001)
        time.sleep(3)
        # What it comes to depends on how far it was; the log must not take the blame from the loop.
        await asyncio.gather(lookup, return_exceptions=True)

    async with app, app.worker():
        handle = await blocker.delay()
        await handle.result(SOON)
        await until(lambda: "runs again" in caplog.text, "the log says that the loop runs again")
        await (await note.delay()).result(SOON)
    assert f"the event loop runs again; job {handle.id} (blocker) blocked it for " in caplog.text
    assert "can't be reached" not in caplog.text


async def test_a_loop_that_stands_still_past_its_limit_keeps_its_jobs_no_longer(make_app: Callable[..., App]) -> None:
    app = make_app(lease=1, blocked_limit=1)
    took_over = threading.Event()
    attempts: list[int] = []

    @app.job
    async def blocker() -> str:
        attempts.append(current_job().attempt)
        if len(attempts) == 1:
            assert took_over.wait(SOON)
        return f"attempt {attempts[-1]}"

    def recover_elsewhere() -> None:
        async def recover() -> None:
            async with make_app(lease=1) as other:

                async def recovered() -> object:
                    return (await broker_of(other).recover(["default"], 1000, 3)).recovered

                await until(recovered, "the blocked worker's job has been recovered")

        asyncio.run(recover())
        took_over.set()

    async with app, app.worker():
        rescuer = threading.Thread(target=recover_elsewhere)
        rescuer.start()
        handle = await blocker.delay()
        assert await handle.result(SOON) == "attempt 2"
        rescuer.join()


async def test_a_worker_whose_lease_was_taken_over_cancels_its_handler_and_settles_nothing(
    make_app: Callable[..., App],
) -> None:
    app = make_app(lease=1)
    cancelled = asyncio.Event()
    runs: Notes[int] = Notes()

    @app.job
    async def hang() -> str:
        runs.append(current_job().attempt)
        if len(runs) > 1:
            return "second"
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()
        return "first"

    async with app:
        handle = await hang.delay()
        async with app.worker():
            await runs.reach(1)
            job = await handle.refresh()
            # Somebody else takes the job from under the running handler.
            away = Settlement("default", job.id, "", job.priority, job.fence, Verdict.RELEASE)
            assert await broker_of(app).settle([away]) == [True]
            await until(cancelled, "the handler has been cancelled")
            assert await handle.result(SOON) == "second"
        assert (await app.queue_stats("default")).succeeded_total == 1


@pytest.mark.parametrize("way", ["cancelled", "lost", "released"])
async def test_a_job_stopped_before_its_handler_has_begun_costs_no_slot(app: App, way: str) -> None:
    ran = []

    @app.job
    async def work() -> None:
        ran.append(current_job().id)

    async with app:
        handle = await work.delay()
        leases = Leases()
        settler = Settler(broker_of(app), leases)
        executor = Executor(host_of(app), BrokerClock(SystemClock()), settler, leases, concurrency=1)
        request = ClaimRequest(worker="w", number=1, queues=["default"], limit=1, lease_ms=10_000)
        executor.accept((await broker_of(app).claim(request)).jobs)
        [lease] = leases.held(0.0)
        # As it happens where a slot becomes free in the very turn of the loop in which the heartbeat has news.
        if way == "released":
            executor.cancel_all()
        else:
            executor.apply(Extension([lease], []) if way == "lost" else Extension([], [(lease, "not wanted")]))
        assert await executor.drain(SOON)
        await settler.flush()
        await executor.close()
        assert leases.held(0.0) == []
        states = {"cancelled": JobState.CANCELLED, "lost": JobState.RUNNING, "released": JobState.PENDING}
        assert await handle.status() is states[way]
    assert ran == []


async def test_a_job_whose_worker_was_killed_is_run_again_within_a_lease_and_a_second(
    redis_url: str, tmp_path: Path
) -> None:
    program = tmp_path / "victim.py"
    program.write_text(
        "import asyncio, os, sys\n"
        "from asyncjobs import App, Worker\n"
        "app = App(sys.argv[1], lease=4)\n"
        "@app.job\n"
        "async def work(path: str) -> str:\n"
        "    with open(path, 'a') as journal: journal.write(f'{os.getpid()}\\n')\n"
        "    if sys.argv[2] == 'hang': await asyncio.sleep(60)\n"
        "    return 'done'\n"
        "if __name__ == '__main__': asyncio.run(Worker(app).run())\n"
    )
    app = App(redis_url, lease=4)

    @app.job
    async def work(path: str) -> str: ...

    journal = tmp_path / "journal"
    victim = await asyncio.create_subprocess_exec(sys.executable, str(program), redis_url, "hang")
    rescuer = None
    try:
        async with app:
            handle = await work.delay(str(journal))
            await until(journal.exists, "the victim runs the job")
            rescuer = await asyncio.create_subprocess_exec(sys.executable, str(program), redis_url, "work")
            await until_workers(app, 2)
            # It recovers, so the gap rule does not add to the wait.
            await asyncio.sleep(2)
            os.kill(victim.pid, signal.SIGKILL)
            killed = time.monotonic()
            assert await handle.result(SOON) == "done"
            took = time.monotonic() - killed
            job = await handle.refresh()
    finally:
        for process in (victim, rescuer):
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()
    # A lease and a second, and what a busy machine adds; with the gap rule it would be two leases.
    assert took < 2 * 4
    assert (job.failures, job.deaths, job.attempt) == (0, 1, 2)


async def test_a_worker_rides_through_a_broker_that_is_away_for_a_while(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []
    away = False
    refused = {"claim": 0, "settle": 0}

    @app.job
    async def note(number: int) -> None:
        nonlocal away
        ran.append(number)
        if number == 5:
            away = True

    async with app:
        broker = broker_of(app)
        real_claim, real_settle = broker.claim, broker.settle

        def is_away(verb: str) -> bool:
            nonlocal away
            if away:
                refused[verb] += 1
                away = refused[verb] < 3
                return True
            return False

        async def claim(request: ClaimRequest) -> Claim:
            if is_away("claim"):
                raise BrokerUnavailable("away")
            return await real_claim(request)

        async def settle(settlements: list[Settlement]) -> list[bool]:
            if is_away("settle"):
                raise BrokerUnavailable("away")
            return await real_settle(settlements)

        monkeypatch.setattr(broker, "claim", claim)
        monkeypatch.setattr(broker, "settle", settle)
        handles = await app.enqueue_many([note.request(n) for n in range(20)])
        async with Worker(app, concurrency=2).running():
            for handle in handles:
                await handle.result(SOON)
            states = {await handle.status() for handle in handles}
    assert (sorted(ran), states) == (list(range(20)), {JobState.COMPLETED})
    assert sum(refused.values()) >= 3


async def test_a_job_acknowledged_early_is_not_run_again_when_its_lease_lapses(make_app: Callable[..., App]) -> None:
    app = make_app(lease=1, blocked_limit=1)
    runs: list[int] = []

    @app.job(acks="early", retry=RetryPolicy(max_retries=5, initial=0))
    async def pay() -> None:
        runs.append(1)
        raise ConnectionError("perhaps paid, perhaps not")

    @app.job(acks="early")
    async def interrupted() -> None:
        await asyncio.sleep(60)

    async with app:
        handle = await pay.delay()
        stopped = await interrupted.delay()
        async with app.worker() as worker:
            with pytest.raises(JobFailed, match="ConnectionError"):
                await handle.result(SOON)
            worker.stop()
            worker.stop()
        with pytest.raises(JobFailed, match="Interrupted"):
            await stopped.result(SOON)
        died = await pay.delay()
        request = ClaimRequest(worker="dead", number=1, queues=["default"], limit=1, lease_ms=1)
        await broker_of(app).recover(["default"], 1000, 3)
        assert len((await broker_of(app).claim(request)).jobs) == 1

        async def has_died() -> object:
            return (await broker_of(app).recover(["default"], 1000, 3)).dead

        await until(has_died, "the lapsed job has been found dead")
        with pytest.raises(JobFailed, match="WorkerDied"):
            await died.result(SOON)
    assert runs == [1]


async def test_a_claim_that_the_network_delivers_late_leases_nothing(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    @app.job
    async def work() -> None: ...

    held_up: list[ClaimRequest] = []
    gone_on = asyncio.Event()
    async with app:
        broker = broker_of(app)
        claim = broker.claim

        async def hold_up_the_first(request: ClaimRequest) -> Claim:
            if not held_up:
                held_up.append(request)
                raise BrokerUnavailable("no reply")
            reply = await claim(request)
            gone_on.set()
            return reply

        monkeypatch.setattr(broker, "claim", hold_up_the_first)
        async with Worker(app).running():
            await until(gone_on, "the worker has claimed once more")
        handle = await work.delay()
        assert (await claim(held_up[0])).jobs == []
        assert await handle.status() is JobState.PENDING
