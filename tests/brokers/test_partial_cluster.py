"""A Cluster of which one primary is down: what its slots can't do stays with its slots."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator

import anyio
import pytest

from asyncjobs import App, JobCancelled, JobHandle, PartlySent, current_job
from asyncjobs.brokers.redis.slots import slot_of
from asyncjobs.core.portions import MOST_BYTES
from asyncjobs.errors import BrokerUnavailable, QueueUnavailable
from tests.apps import broker_of
from tests.servers import Server, cluster, cluster_url
from tests.waiting import SOON, Notes, until

pytestmark = pytest.mark.anyio

PRIMARIES = 3


def queues_of(node: int, count: int, primaries: int = PRIMARIES) -> list[str]:
    """Return names of queues that are on one node of a Cluster."""
    found = []
    number = 0
    while len(found) < count:
        name = f"queue-{number}"
        number += 1
        if 16384 * node // primaries <= slot_of(f"{{{name}}}") < 16384 * (node + 1) // primaries:
            found.append(name)
    return found


[DOWN] = queues_of(2, 1)
[HERE] = queues_of(0, 1)
[THERE] = queues_of(1, 1)
ALL = [DOWN, HERE, THERE]


@pytest.fixture
def members() -> Iterator[list[Server]]:
    """The nodes of a Cluster that serves what it can; the last one has the queue ``DOWN``."""
    with cluster(PRIMARIES, needs_all_slots=False) as running:
        for node in running:
            with contextlib.closing(node.client()) as client:
                # Otherwise one that is killed may have postponed its last writes.
                client.config_set("appendfsync", "always")
        yield running


def app_of(members: list[Server], **settings: object) -> App:
    # On a busy machine, a node of a living primary may think for a moment that the Cluster is down.
    settings = {"send_timeout": SOON, **settings}
    return App(cluster_url(members) + "?command_timeout=1", **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("weighted", [False, True])
async def test_the_queues_of_living_primaries_are_served_and_the_others_once_theirs_is_back(
    members: list[Server], how: signal.Signals, weighted: bool
) -> None:
    app = app_of(members)
    ran: Notes[str] = Notes()

    @app.job
    async def note(queue: str) -> str:
        ran.append(queue)
        return queue

    queues = dict.fromkeys(ALL, 1.0) if weighted else ALL
    async with app, app.worker(queues=queues):
        await asyncio.gather(*(note.with_options(queue=queue).delay(queue) for queue in ALL))
        await ran.reach(3)
        ran.clear()
        waiting = await note.with_options(queue=DOWN).schedule_in(1, DOWN)
        members[2].kill(how)
        handles = [await note.with_options(queue=queue).delay(queue) for _ in range(15) for queue in (HERE, THERE)]
        for handle in handles:
            assert await handle.result(SOON) in (HERE, THERE)
        assert (await app.find_job(handles[0].id, queue=HERE)) is not None
        assert DOWN not in ran
        if how is signal.SIGKILL:
            await asyncio.to_thread(members[2].start)
        else:
            members[2].kill(signal.SIGCONT)
        assert await waiting.result(SOON) == DOWN


async def test_a_send_is_not_held_up_by_one_to_a_primary_that_is_down(members: list[Server]) -> None:
    app = app_of(members, send_timeout=2)

    @app.job
    async def note() -> None: ...

    async with app:
        await note.with_options(queue=HERE).delay()
        members[2].kill()
        failing = asyncio.ensure_future(note.with_options(queue=DOWN).delay())
        sent = await asyncio.gather(*(note.with_options(queue=queue).delay() for queue in (HERE, THERE)))
        assert not failing.done()
        assert all(isinstance(one, JobHandle) for one in sent)
        with pytest.raises(QueueUnavailable):
            await failing
        with pytest.raises(PartlySent) as caught:
            await app.enqueue_many([note.with_options(queue=queue).request() for queue in (HERE, DOWN, THERE)])
        assert [handle.queue for handle in caught.value.sent] == [HERE, THERE]
        assert [request.options.queue for request in caught.value.unsent] == [DOWN]
        assert isinstance(caught.value.__cause__, BrokerUnavailable)


@pytest.mark.parametrize("node", range(PRIMARIES))
async def test_an_app_opens_and_a_worker_starts_whichever_primary_is_down(members: list[Server], node: int) -> None:
    members[node].kill()
    app = app_of(members)

    @app.job(queue=HERE if node else THERE)
    async def note() -> str:
        return "done"

    async with app, app.worker(queues=ALL):
        assert await (await note.delay()).result(SOON) == "done"


async def test_running_jobs_settle_keep_their_leases_and_emit_while_another_primary_is_frozen(
    members: list[Server],
) -> None:
    app = app_of(members, lease=4)
    runs: Notes[str] = Notes()
    frozen = asyncio.Event()

    @app.job
    async def work(queue: str) -> str:
        runs.append(queue)
        await frozen.wait()
        current_job().emit(queue)
        # For longer than the lease.
        await asyncio.sleep(6 if queue == HERE else 0)
        return queue

    @app.job
    async def quick() -> None: ...

    async def quick_ones() -> float:
        """Return how long most of some jobs take from the send to the result."""
        took: list[float] = []
        for _ in range(10):
            sent_at = time.monotonic()
            await (await quick.with_options(queue=THERE).delay()).result(SOON)
            took.append(time.monotonic() - sent_at)
        return sorted(took)[5]

    async with app, app.worker(queues=ALL):
        usual = await quick_ones()
        handles = {queue: await work.with_options(queue=queue).delay(queue) for queue in ALL}
        await runs.reach(3)
        members[2].kill(signal.SIGSTOP)
        frozen.set()
        # The one of the frozen primary ends too, and its settlement must wait.
        began = time.monotonic()
        assert await handles[THERE].result(SOON) == THERE
        assert time.monotonic() - began < 4
        assert [event.data async for event in handles[THERE].events()] == [THERE]
        # The settlement that waits is tried again and again, and holds up no other.
        assert await quick_ones() < max(0.2, 3 * usual)
        assert await handles[HERE].result(SOON) == HERE
        assert (await handles[HERE].refresh()).deaths == 0
        members[2].kill(signal.SIGCONT)
        assert await handles[DOWN].result(SOON) == DOWN
    assert runs.count(HERE) == runs.count(THERE) == 1


async def test_a_claim_that_a_frozen_primary_serves_late_is_not_lost(
    members: list[Server], caplog: pytest.LogCaptureFixture
) -> None:
    app = app_of(members, lease=60)
    ran: Notes[str] = Notes()

    @app.job
    async def note(queue: str) -> None:
        ran.append(queue)

    async with app, app.worker(queues=ALL):
        await asyncio.gather(*(note.with_options(queue=queue).delay(queue) for queue in ALL))
        await ran.reach(3)
        # Due while the server is frozen, so that it is claimed then.
        await note.with_options(queue=DOWN).schedule_in(0.3, DOWN)
        members[2].kill(signal.SIGSTOP)
        await until(lambda: f"queue {DOWN} must wait" in caplog.text, "a call has had no answer")
        # A claim may have been sent after that call; it is given up after a second.
        await asyncio.sleep(1.2)
        # The server now reads that claim, whose caller has gone on to other queues.
        members[2].kill(signal.SIGCONT)
        await ran.reach(4)
    assert ran[3] == DOWN


async def test_schedules_fire_while_another_primary_is_down(members: list[Server]) -> None:
    app = app_of(members, scheduler_interval=0.2)
    ran: Notes[str] = Notes()

    @app.job(queue=HERE, every=1)
    async def here() -> None:
        ran.append(HERE)

    @app.job(queue=DOWN, every=1)
    async def down() -> None:
        ran.append(DOWN)

    members[2].kill()
    async with app, app.worker(queues=ALL):
        await ran.reach(3)
        assert DOWN not in ran
        await asyncio.to_thread(members[2].start)
        await ran.until(lambda: DOWN in ran, "the schedule of the primary that was down fires")


async def test_queues_are_named_while_the_primary_of_one_that_may_be_forgotten_is_down(members: list[Server]) -> None:
    app = app_of(members)
    async with app:
        with contextlib.closing(members[0].client()) as client:
            client.zadd("asyncjobs:queues", {DOWN: 1, THERE: 1})
        members[2].kill()
        assert DOWN in await broker_of(app).queues()
        await asyncio.to_thread(members[2].start)

        async def names() -> list[str]:
            with contextlib.suppress(QueueUnavailable):
                return list(await broker_of(app).queues())
            return [DOWN]

        with anyio.fail_after(SOON):
            while await names():
                await asyncio.sleep(0.05)


async def test_calls_that_fail_since_a_primary_is_known_to_be_down_make_no_other_call_smaller(
    members: list[Server],
) -> None:
    app = app_of(members)
    async with app:
        members[2].kill()
        for _ in range(20):
            with pytest.raises(QueueUnavailable):
                await app.find_job("none", queue=DOWN)
        assert broker_of(app)._portion.bytes >= MOST_BYTES // 2


async def test_a_cluster_of_one_primary_is_served() -> None:
    with cluster(1) as nodes:
        app = App(cluster_url(nodes))

        @app.job
        async def note() -> str:
            return "done"

        async with app, app.worker(queues=["default", "other"]):
            assert await (await note.delay()).result(SOON) == "done"
            assert await (await note.with_options(queue="other").delay()).result(SOON) == "done"


@pytest.mark.parametrize("count", [15, 40])
async def test_many_queues_of_a_node_wake_their_worker_at_once_without_new_connections(
    nodes: list[Server], count: int
) -> None:
    queues = queues_of(0, count)
    # For longer than the test waits, so that only a token wakes the worker.
    app = App(cluster_url(nodes), prefix=f"many{count}", poll_interval=2 * SOON)

    @app.job
    async def note() -> float:
        return time.monotonic()

    async with app, app.worker(queues=queues):
        for queue in queues[:2]:
            await (await note.with_options(queue=queue).delay()).result(SOON)
        with contextlib.closing(nodes[0].client()) as client:
            await until(lambda: client.info("clients")["blocked_clients"] >= count, "the worker listens to all queues")
            before = client.info("stats")["total_connections_received"]
            late = []
            for queue in queues[:10]:
                sent_at = time.monotonic()
                late.append(await (await note.with_options(queue=queue).delay()).result(SOON) - sent_at)
                await until(lambda: client.info("clients")["blocked_clients"] >= count, "the worker listens again")
            assert sorted(late)[5] < 0.4
            assert client.info("stats")["total_connections_received"] - before < 5


async def test_a_token_that_comes_while_a_worker_is_busy_wakes_another(nodes: list[Server]) -> None:
    queues = queues_of(0, 3)
    ran: Notes[int] = Notes()
    go_on = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            # For longer than the test waits, so that only a token wakes a worker.
            app = App(cluster_url(nodes), prefix="tokens", poll_interval=2 * SOON)

            @app.job(name="work")
            async def work(number: int) -> None:
                ran.append(number)
                await go_on.wait()

            await stack.enter_async_context(app)
            await stack.enter_async_context(app.worker(queues=queues, concurrency=1))
        with contextlib.closing(nodes[0].client()) as client:
            await until(lambda: client.info("clients")["blocked_clients"] >= 6, "both workers listen to all queues")
        for number, queue in enumerate(queues[:2], 1):
            await work.with_options(queue=queue).delay(number)
            await ran.reach(number)
        go_on.set()


async def test_a_cancellation_on_any_member_reaches_the_worker_at_once_also_after_one_is_lost(
    members: list[Server],
) -> None:
    # With such a lease, the heartbeat would find it after 150 seconds.
    app = app_of(members, lease=600.0)
    started: Notes[str] = Notes()

    @app.job
    async def stay() -> None:
        started.append(current_job().queue)
        await asyncio.sleep(600)

    async def cancel_on(queues: list[str]) -> None:
        before = len(started)
        handles = [await stay.with_options(queue=queue).delay() for queue in queues]
        await started.reach(before + len(queues))
        for handle in handles:
            await handle.cancel()
            with pytest.raises(JobCancelled):
                await handle.result(SOON)

    async with app, app.worker(queues=ALL):
        # The worker listens on one member, which isn't that of two of the queues.
        await cancel_on(ALL)
        members[2].kill(signal.SIGKILL)
        await cancel_on([HERE, THERE])
