"""Users with the least rights: each role does its work on a real server, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.exceptions

import asyncjobs.brokers.redis
from asyncjobs import App, BrokerRefused, Job, ResultTimeout, RetryPolicy, acting, current_job
from asyncjobs.admin import Access, admin_api, dashboard
from asyncjobs.admin.api.app import ROUTES
from asyncjobs.brokers.redis.broker import RedisBroker
from asyncjobs.brokers.redis.permissions import NEEDED_COMMANDS, OTHER_COMMANDS, WRITES
from asyncjobs.brokers.redis.roles import ROLES, Role, acl_rules, commands_of
from asyncjobs.cli import main
from asyncjobs.ports import ClaimRequest
from asyncjobs.testing.conformance import BrokerConformance
from tests.admin.crawl import crawl
from tests.admin.sowing import sown
from tests.admin.test_every_page import paths_of, reader
from tests.apps import broker_of
from tests.conformance.kits import RedisKit
from tests.servers import Server, cluster_url
from tests.waiting import SOON, until_workers
from tests.web import Reply, fetch

pytestmark = pytest.mark.anyio

PREFIX = "shop[1]*"
"""A prefix with characters that mean something in a pattern."""


@pytest.fixture
def admin(lane: Server) -> Iterator[redis.Redis]:
    """A client that may do all."""
    with contextlib.closing(lane.client()) as client:
        client.flushall()
        for role in ROLES:
            client.execute_command("ACL", "SETUSER", role, "reset", "on", ">secret", *acl_rules(role, PREFIX))
        yield client
        for role in ROLES:
            client.execute_command("ACL", "DELUSER", role)


@pytest.fixture
def app_of(lane: Server, admin: redis.Redis) -> Callable[[Role], App]:
    def make(role: Role) -> App:
        app = App(lane.url.replace("redis://", f"redis://{role}:secret@"), prefix=PREFIX, lease=1)

        @app.job(name="work", retry=RetryPolicy(max_retries=1, initial=0.01))
        async def work(text: str, failures: int = 0) -> str:
            job = current_job()
            job.progress(1, 2)
            if job.attempt <= failures:
                raise ValueError(text)
            return text.upper()

        @app.job(name="again", every=1)
        async def again(depth: int = 1) -> int:
            if depth:
                await again.with_options(priority="high").delay(depth - 1)
            return depth

        @app.job(name="hang")
        async def hang() -> None:
            await asyncio.Event().wait()

        return app

    return make


@pytest.fixture
async def apps(app_of: Callable[[Role], App]) -> AsyncIterator[dict[str, App]]:
    """An open app of each role."""
    async with contextlib.AsyncExitStack() as stack:
        yield {role: await stack.enter_async_context(app_of(role)) for role in ROLES}


async def test_each_role_does_its_work(apps: dict[str, App], admin: redis.Redis) -> None:
    sender, worker, operator, _ = (apps[role] for role in ROLES)
    work, hang = sender.registry.get("work"), sender.registry.get("hang")
    async with worker.worker():
        handle = await work.delay("a")
        assert await handle.result(SOON) == "A"
        assert [event.kind async for event in handle.events()] == ["progress"]
        assert await (await work.delay("b", failures=1)).result(SOON) == "B"
        assert await (await work.schedule_in(0.05, "c")).result(SOON, forget=True) == "C"
        for one in await sender.enqueue_many([work.with_options(tenant="acme").request(str(n)) for n in range(20)]):
            assert await one.result(SOON) == one_of(await one.refresh())
        dead = await work.delay("d", failures=5)
        await _until_dead(dead)

        # What an operator sees, and does.
        await until_workers(operator, 1)
        assert (await operator.stats()).total_failed == 1
        assert [job.id for job in await operator.failed_jobs()] == [dead.id]
        assert [group.count for group in await operator.failed_groups()] == [1]
        assert (await operator.find_job(dead.id)).named_arguments["text"] == "d"
        assert len(await operator.job_history("work", 100)) > 20
        assert (await operator.why(dead.id)).reasons
        assert (await operator.search_jobs("d")).looked_at
        with acting("ada"):
            assert await operator.retry_job(dead.id)
            await _until_dead(dead)
            await operator.delete_job(dead.id)
            await operator.pause("default")
            waits = await work.delay("e")
            assert await operator.edit_job(waits.id, priority="low", delay=3600) == "edited"
            assert (await operator.jobs("scheduled"))[0].id == waits.id
            assert await operator.cancel_job(waits.id) == "cancelled"
            await operator.resume("default")
            running = await hang.delay()
            async with asyncio.timeout(SOON):
                while (await running.status()).value != "running":
                    await asyncio.sleep(0.02)
            assert await operator.cancel_job(running.id) == "running"
            with pytest.raises(Exception, match="was cancelled"):
                await running.result(SOON)
            await operator.add_schedule("mine", work.request("f"), every=3600)
            assert await (await operator.trigger_schedule("mine")).result(SOON) == "F"
            await operator.remove_schedule("mine")
        assert {entry.verb for entry in await operator.audit()} >= {"pause", "cancel_job", "retry_job"}
        async with asyncio.timeout(SOON):
            while len(await operator.job_history("again", 10)) < 2:
                await asyncio.sleep(0.05)
    # None of them was refused anything on the way: scripts that go on after an error would hide it.
    refused = [_refused(one) for one in admin.execute_command("ACL", "LOG")]
    # redis-py tells its name where it may.
    assert {one[b"object"] for one in refused} <= {b"client|setinfo", b"client"}


def one_of(job: Job) -> str:
    return str(job.arguments[0])


async def _until_dead(handle: Any) -> None:
    async with asyncio.timeout(SOON):
        while (await handle.status()).value != "failed":
            await asyncio.sleep(0.02)


def _claim(app: App) -> Awaitable[Any]:
    request = ClaimRequest(worker="w", number=1, queues=["default"], limit=1, lease_ms=1_000, names=frozenset(["work"]))
    claim: Awaitable[Any] = broker_of(app).claim(request)
    return claim


def _add_schedule(app: App) -> Awaitable[Any]:
    return app.add_schedule("x", app.registry.get("work").request("x"), every=60)


DENIED: list[tuple[Role, str, Callable[[App], Awaitable[Any]], str]] = [
    ("sender", "claims", _claim, "role worker"),
    ("sender", "lists", lambda app: app.jobs("ready", queue="default"), "roles operator and viewer"),
    ("sender", "lists the dead", lambda app: app.failed_jobs(queue="default"), "roles operator and viewer"),
    ("sender", "pauses", lambda app: app.pause("default"), "role operator"),
    ("sender", "cancels", lambda app: app.cancel_job("x", queue="default"), "role operator"),
    # It looks first for the one that is there.
    ("sender", "adds a schedule", _add_schedule, "roles worker, operator and viewer"),
    ("sender", "reads the audit", lambda app: app.audit(), "roles operator and viewer"),
    ("worker", "lists the dead", lambda app: app.failed_jobs(queue="default"), "roles operator and viewer"),
    ("worker", "reads the audit", lambda app: app.audit(), "roles operator and viewer"),
    ("operator", "claims", _claim, "role worker"),
    ("viewer", "claims", _claim, "role worker"),
    ("viewer", "sends", lambda app: app.registry.get("work").delay("x"), "roles sender, worker and operator"),
    ("viewer", "retries", lambda app: app.retry_job("x", queue="default"), "role operator"),
    ("viewer", "pauses", lambda app: app.pause("default"), "role operator"),
    ("viewer", "cancels", lambda app: app.cancel_job("x", queue="default"), "role operator"),
    ("viewer", "adds a schedule", _add_schedule, "roles worker and operator"),
]


@pytest.mark.parametrize(
    ("role", "what", "verb", "may"), DENIED, ids=lambda given: given if isinstance(given, str) else ""
)
async def test_what_a_role_does_not_need_is_refused_with_the_roles_that_may(
    app_of: Callable[[Role], App], role: Role, what: str, verb: Callable[[App], Awaitable[Any]], may: str
) -> None:
    async with app_of(role) as app:
        with pytest.raises(BrokerRefused, match=f"refused the user '{role}': .*The {may} may do that") as refusal:
            await verb(app)
        one = may.replace(",", "").split()[1]
        assert f"`asyncjobs doctor --acl {one}` prints" in str(refusal.value)


async def test_a_viewer_sees_each_page_of_the_dashboard_and_each_reply_of_the_api(
    lane: Server, admin: redis.Redis, app_of: Callable[[Role], App]
) -> None:
    def everybody(request: Any) -> Access:
        return Access(name="ada", role="admin")

    async with App(lane.url, prefix=PREFIX) as whole, sown(whole, "plain"), app_of("viewer") as viewer:
        # A worker that was killed leaves its name behind.
        admin.zadd(f"{PREFIX}:workers", {"killed": 2e12})
        admin.execute_command("ACL", "LOG", "RESET")
        pages, api = dashboard(viewer, authorize=everybody), admin_api(viewer, authorize=everybody)
        found = await crawl(reader(pages, check=_is_shown))
        assert [path for path, targets in found.items() if not targets] == []
        for route in ROUTES:
            if route.method == "GET":
                for target in paths_of(route.path):
                    assert (await fetch(api, target)).status in (200, 400, 404), target
        refused = map(_refused, admin.execute_command("ACL", "LOG"))
        # In transactions it is only asked for.
        called = {one[b"object"] for one in refused if one[b"context"] != b"multi"}
        assert called <= {b"client|setinfo", b"client", b"config|get", b"config", b"zrem"} | _WATCHING


_WATCHING = {b"ltrim", b"hset", b"pexpire"}
"""What a reader of events would write, so that it is told of new ones."""


def _is_shown(target: str, reply: Reply) -> None:
    assert reply.status in (200, 303) or target.startswith("/jobs/selected"), (target, reply.body)


def _refused(entry: list[Any]) -> dict[bytes, Any]:
    return dict(zip(entry[::2], entry[1::2], strict=True))


async def test_a_viewer_reads_the_events_of_a_running_job(apps: dict[str, App]) -> None:
    worker, viewer = apps["worker"], apps["viewer"]
    async with worker.worker() as running:
        handle = await worker.registry.get("hang").delay()
        seen = viewer.handle(handle.id)
        async with asyncio.timeout(SOON):
            while (await seen.status()).value != "running":
                await asyncio.sleep(0.02)
        page = await seen.next_events(0, timeout=0)
        assert ([*page.events], page.is_over) == ([], False)
        with pytest.raises(ResultTimeout):
            await seen.result(0.01)
        # The second one waits for no job.
        running.stop()
        running.stop()


def test_what_a_viewer_lacks_is_all_that_the_server_calls_a_write(admin: redis.Redis) -> None:
    names = [*NEEDED_COMMANDS, *OTHER_COMMANDS]
    flags = {name: info["flags"] for name, info in admin.execute_command("COMMAND", "INFO", *names).items()}
    writes = {name.upper() for name, told in flags.items() if {"write", "pubsub"}.intersection(told)}
    assert writes == WRITES
    assert commands_of("viewer").isdisjoint(WRITES)


async def test_other_prefixes_and_other_commands_are_closed(lane: Server, admin: redis.Redis) -> None:
    for role in ROLES:
        async with contextlib.AsyncExitStack() as stack:
            app = App(lane.url.replace("redis://", f"redis://{role}:secret@"), prefix="shop1x")
            with pytest.raises(BrokerRefused, match=f"refused the user '{role}'"):
                await stack.enter_async_context(app)
        client = redis.Redis(host="127.0.0.1", port=lane.port, username=role, password="secret", protocol=2)
        with contextlib.closing(client):
            for command in ("FLUSHALL", "KEYS *", "SCAN 0", "CONFIG SET maxmemory 1", "ACL LIST", "SHUTDOWN NOSAVE"):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    client.execute_command(*command.split())


async def test_each_role_works_on_a_cluster_of_several_members(nodes: list[Server]) -> None:
    def app_of(role: Role) -> App:
        url = cluster_url(nodes).replace("://", f"://{role}:secret@")
        app = App(url, prefix=PREFIX, lease=1)

        @app.job(name="work")
        async def work(number: int) -> int:
            current_job().progress(number, 99)
            return number

        return app

    clients = [node.client() for node in nodes]
    async with contextlib.AsyncExitStack() as stack:
        for client in clients:
            stack.callback(client.close)
            for role in ROLES:
                client.execute_command("ACL", "SETUSER", role, "reset", "on", ">secret", *acl_rules(role, PREFIX))
            client.execute_command("ACL", "LOG", "RESET")
        sender, worker, operator, viewer = [await stack.enter_async_context(app_of(role)) for role in ROLES]
        queues = [f"queue{number}" for number in range(12)]
        sent = sender.registry.get("work")
        async with worker.worker(queues=queues):
            handles = [await sent.with_options(queue=queue).delay(number) for number, queue in enumerate(queues)]
            assert [await handle.result(SOON) for handle in handles] == [*range(12)]
            assert [event.kind async for event in handles[0].events()] == ["progress"]
            for one in (operator, viewer):
                await until_workers(one, 1)
                assert (await one.stats()).total_succeeded == 12
        for queue in queues[:4]:
            waits = await sent.with_options(queue=queue).delay(0)
            assert [job.id for job in await viewer.jobs("ready", queue=queue)] == [waits.id]
            assert await operator.cancel_job(waits.id, queue=queue) == "cancelled"
            with pytest.raises(BrokerRefused, match="The role operator may do that"):
                await viewer.pause(queue)
        refused = [_refused(one) for client in clients for one in client.execute_command("ACL", "LOG")]
        refused = [one for one in refused if one[b"username"] != b"viewer"]
        assert {one[b"object"] for one in refused} <= {b"client|setinfo", b"client"}


# -- the rules are those of what is called


class TestRedisAsAUser(BrokerConformance):
    """A worker that is an operator too keeps what a broker promises."""

    @pytest.fixture
    async def kit(self, redis_server: Server) -> AsyncIterator[RedisKit]:
        kit = RedisKit(redis_server)
        client = redis_server.client()
        allowed = [rule for role in ROLES for rule in acl_rules(role, "asyncjobs") if rule[0] in "+~&"]
        client.execute_command("ACL", "SETUSER", "both", "reset", "on", ">secret", "-@all", "resetchannels", *allowed)
        settings = kit.broker._settings
        kit.broker = RedisBroker(type(settings)(**{**_fields(settings), "username": "both", "password": "secret"}))
        await kit.broker.open()
        yield kit
        await kit.broker.close()
        client.execute_command("ACL", "DELUSER", "both")
        client.close()
        kit.close()


def _fields(settings: Any) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}


def test_each_script_is_of_a_role() -> None:
    folder = Path(asyncjobs.brokers.redis.__file__).parent / "lua"
    assert {path.stem for path in folder.glob("*.lua")} == set().union(*(needs.scripts for needs in ROLES.values()))


# -- the command


def test_the_doctor_prints_the_rules_without_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--url", "redis://127.0.0.1:1", "--acl", "sender"]) == 0
    assert capsys.readouterr().out.rstrip("\n").split() == [
        *("ACL", "SETUSER", "asyncjobs-sender", "reset", "on", ">PASSWORD"),
        *acl_rules("sender", "asyncjobs"),
    ]
    assert main(["doctor", "--url", "redis://127.0.0.1:1", "--acl", "worker", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rules"] == acl_rules("worker", "asyncjobs")


@pytest.mark.parametrize("role", ROLES)
def test_the_doctor_finds_the_rights_of_a_role_whole_or_not(
    lane: Server,
    admin: redis.Redis,
    role: Role,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ASYNCJOBS_PREFIX", PREFIX)
    monkeypatch.setenv("ASYNCJOBS_URL", lane.url.replace("redis://", f"redis://{role}:secret@"))
    before = set(admin.keys("*"))

    def rights(*options: str) -> dict[str, str]:
        main(["doctor", "--json", *options])
        found = json.loads(capsys.readouterr().out)
        return next(one for one in found if one["what"] == "rights")

    assert rights("--role", role)["level"] == "ok"
    assert rights()["level"] == "bad"
    admin.execute_command("ACL", "SETUSER", role, "-zrange")
    found = rights("--role", role)
    assert (found["level"], found["found"]) == ("bad", "the user may not call ZRANGE")
    assert "+zrange" in found["advice"]
    # Without transactions nothing can be asked, and nothing must be done either.
    admin.execute_command("ACL", "SETUSER", role, "+zrange", "-multi")
    assert rights("--role", role)["found"] == "the user may not call MULTI"
    assert set(admin.keys("*")) - before <= {f"{PREFIX}:meta".encode()}
