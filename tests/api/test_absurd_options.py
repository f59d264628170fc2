"""Every public option with absurd values: accepted, or refused with an error of ours, and no harm to others."""

from __future__ import annotations

import contextlib
import inspect
import random
from collections.abc import Callable
from typing import Any

import pytest

from asyncjobs import (
    App,
    AsyncJobsError,
    Cancel,
    Discard,
    Retry,
    RetryPolicy,
    Snooze,
    TenantContext,
    Worker,
    acting,
    tenant_scope,
)
from asyncjobs.core.options import JobOptions, SendOptions
from asyncjobs.core.view import job_details, job_summary
from asyncjobs.jobs.registry import Registry, decorator
from asyncjobs.middleware import DefaultTimeout
from asyncjobs.settings import SettingOptions
from asyncjobs.tenancy import CachedTenants, StaticTenants
from tests.api.absurd import ABSURD
from tests.waiting import Notes

pytestmark = pytest.mark.anyio

SEEDS = [1, 2, 3]
APP = App("memory://")


@APP.job
async def plain(number: int = 1) -> int:
    return number


def shown(value: Any) -> str:
    try:
        return f"{value!r:.60}"
    except Exception:
        return f"<{type(value).__name__}>"


def absurd(take: Callable[[Any], Any], what: str) -> list[Any]:
    """Give each absurd value to ``take``; return what it returned for those that it accepted."""
    accepted = []
    for value in ABSURD:
        try:
            accepted.append(take(value))
        except AsyncJobsError:
            continue
        except BaseException as error:
            error.add_note(f"{what}={shown(value)}")
            raise
    return accepted


def defined(**options: Any) -> Any:
    async def handler(number: int = 1) -> int:
        return number

    return App("memory://").job(**options)(handler)


def defined_free(**options: Any) -> Any:
    async def handler(number: int = 1) -> int:
        return number

    # In a registry of its own, so that no other app knows the job.
    return decorator(Registry(), None, options)(handler)


def acted(*args: Any, **options: Any) -> None:
    with acting(*args, **options):
        pass


TAKES: dict[str, Callable[[Any], Any]] = {
    "App(url)": lambda given: App(given),
    **{
        f"App({name}=)": (lambda given, name=name: App("memory://", **{name: given}))
        for name in SettingOptions.__annotations__
    },
    **{
        f"App({name}=)": (lambda given, name=name: App("memory://", **{name: given}))
        for name in ("retry", "middleware", "broker")
    },
    **{
        f"@app.job({name}=)": (lambda given, name=name: defined(**{name: given})) for name in JobOptions.__annotations__
    },
    **{
        f"@job({name}=)": (lambda given, name=name: defined_free(**{name: given}))
        for name in JobOptions.__annotations__
    },
    **{
        f"with_options({name}=)": (lambda given, name=name: plain.with_options(**{name: given}).request())
        for name in (*SendOptions.__annotations__, "app")
    },
    **{
        f"request().with_options({name}=)": (lambda given, name=name: plain.request().with_options(**{name: given}))
        for name in SendOptions.__annotations__
    },
    **{
        f"RetryPolicy({name}=)": (lambda given, name=name: RetryPolicy(**{name: given}))
        for name in RetryPolicy.__struct_fields__
    },
    "@app.job(cron=, timezone=)": lambda given: defined(cron="0 8 * * *", timezone=given),
    "@app.job(cron=, missed=)": lambda given: defined(cron="0 8 * * *", missed=given),
    "request(number)": lambda given: plain.request(given),
    "Retry(after)": lambda given: Retry(given),
    "Retry(reason)": lambda given: Retry(1, given),
    "Snooze": lambda given: Snooze(given),
    "Discard": lambda given: Discard(given),
    "Cancel": lambda given: Cancel(given),
    "DefaultTimeout": lambda given: DefaultTimeout(given),
    "StaticTenants": lambda given: StaticTenants(given),
    "CachedTenants(ttl=)": lambda given: CachedTenants(StaticTenants({}), ttl=given),
    "CachedTenants(timeout=)": lambda given: CachedTenants(StaticTenants({}), timeout=given),
    "CachedTenants(most=)": lambda given: CachedTenants(StaticTenants({}), most=given),
    "CachedTenants(resolver)": lambda given: CachedTenants(given),
    "TenantContext(id)": lambda given: TenantContext(given),
    "TenantContext(schema)": lambda given: TenantContext("acme", "acme", given),
    "tenant_scope": lambda given: tenant_scope(given),
    "Worker(app)": lambda given: Worker(given),
    "Worker(concurrency=)": lambda given: Worker(APP, concurrency=given),
    "Worker(queues=)": lambda given: Worker(APP, queues=given),
    "Worker(queues={})": lambda given: Worker(APP, queues={"default": given}),
    "Worker(ageing=)": lambda given: Worker(APP, ageing=given),
    "acting(by)": lambda given: acted(given),
    "acting(via=)": lambda given: acted("ada", via=given),
    "acting(note=)": lambda given: acted("ada", note=given),
    "handle(id)": lambda given: APP.handle(given),
    "handle(queue=)": lambda given: APP.handle("one", queue=given),
}


@pytest.mark.parametrize("what", TAKES)
def test_an_option_takes_a_value_or_refuses_it_with_an_error_of_ours(what: str) -> None:
    absurd(TAKES[what], what)


VERBS = (
    "find_job",
    "cancel_job",
    "cancel_jobs",
    "edit_job",
    "delete_job",
    "jobs",
    "failed_jobs",
    "retry_job",
    "retry_failed",
    "delete_failed",
    "undelete_jobs",
    "undelete_failed",
    "failed_groups",
    "pause",
    "resume",
    "suspend_name",
    "resume_name",
    "suspend_tenant",
    "resume_tenant",
    "set_limit",
    "reset_limit",
    "tenant_stats",
    "purge_tenant",
    "purge_queue",
    "queue_stats",
    "gates",
    "turns",
    "queue_minutes",
    "queue_series",
    "queue_loads",
    "load",
    "names",
    "name_series",
    "job_history",
    "schedules",
    "find_schedule",
    "pause_schedule",
    "resume_schedule",
    "remove_schedule",
    "trigger_schedule",
    "audit",
)


async def listings(app: App) -> None:
    """Call all that lists, and show as plain data what it returns."""
    for state in ("ready", "scheduled", "running", "parked", "failed"):
        for one in await app.jobs(state):
            job_summary(one), job_details(one)
    for one in await app.failed_jobs():
        job_details(one)
    await app.failed_groups()
    for info in await app.schedules():
        info.upcoming(2)
    stats = await app.stats()
    for queue in stats.queues:
        await app.queue_stats(queue.queue_name)
        await app.queue_minutes(queue.queue_name)
        for gate in await app.gates(queue.queue_name):
            str(gate)
    await app.suspended_names(), await app.suspended_tenants()
    await app.job_history("work")


def verbs(app: App, work: Any) -> dict[str, Callable[[Any], Any]]:
    taken: dict[str, Callable[[Any], Any]] = {
        "delay": lambda given: work.delay(given),
        "schedule_in": lambda given: work.schedule_in(given, 1),
        "schedule_at": lambda given: work.schedule_at(given, 1),
        "enqueue_many": lambda given: app.enqueue_many(given),
        "enqueue_many([])": lambda given: app.enqueue_many([given]),
        "enqueue_for_tenant": lambda given: app.enqueue_for_tenant(given, work.request(1)),
        "enqueue_for_tenant(request)": lambda given: app.enqueue_for_tenant("acme", given),
        "add_schedule(id)": lambda given: app.add_schedule(given, work.request(1), every=60),
        "add_schedule(request)": lambda given: app.add_schedule("one", given, every=60),
        **{
            f"add_schedule({name}=)": (
                lambda given, name=name: app.add_schedule(
                    "one", work.request(1), **({"cron": "@daily"} | {name: given})
                )
            )
            for name in ("cron", "timezone", "missed", "bound")
        },
        "audit(before=)": lambda given: app.audit(before=given),
        "tenants(queue=)": lambda given: app.tenants(queue=given),
        "tenants(limit=)": lambda given: app.tenants(limit=given),
        "tenants(after=)": lambda given: app.tenants(after=given),
        "pause(why=)": lambda given: app.pause("default", why=given),
        "gates(limit=)": lambda given: app.gates("default", limit=given),
        "turns(limit=)": lambda given: app.turns("default", limit=given),
        "set_limit(running=)": lambda given: app.set_limit("default", running=given),
        "set_limit(limit)": lambda given: app.set_limit("default", given, running=1),
        "set_limit(value)": lambda given: app.set_limit("default", "mail", given, running=1),
        "set_limit(rate=)": lambda given: app.set_limit("default", rate=given),
        "suspend_name(why=)": lambda given: app.suspend_name("work", why=given),
        "suspend_tenant(why=)": lambda given: app.suspend_tenant("acme", why=given),
        "send(name)": lambda given: app.send(given, [1]),
        "send(arguments)": lambda given: app.send("work", given),
        "send([])": lambda given: app.send("unknown", [given]),
        "add_schedule(every=)": lambda given: app.add_schedule("two", work.request(1), every=given),
        "result(timeout)": lambda given: app.handle("nobody").result(given),
        "handle().cancel": lambda given: app.handle("one").cancel(given),
        "cancel_job(reason=)": lambda given: app.cancel_job("one", queue="default", reason=given),
        "next_events(after)": lambda given: app.handle("nobody").next_events(given),
        "next_events(timeout=)": lambda given: app.handle("nobody").next_events(timeout=given),
        "events(after)": lambda given: anext(app.handle("nobody").events(given)),
        "edit_job(priority=)": lambda given: app.edit_job("waits", priority=given),
        "edit_job(at=)": lambda given: app.edit_job("waits", at=given),
        "edit_job(delay=)": lambda given: app.edit_job("waits", delay=given),
        "edit_job(to_queue=)": lambda given: app.edit_job("waits", to_queue=given),
        "retry_jobs(job_ids)": lambda given: app.retry_jobs(given, queue="default"),
        "retry_jobs(queue=)": lambda given: app.retry_jobs(["one"], queue=given),
        "retry_jobs(delay=)": lambda given: app.retry_jobs(["one"], queue="default", delay=given),
        "retry_jobs(spread=)": lambda given: app.retry_jobs(["one"], queue="default", spread=given),
        "delete_jobs(job_ids)": lambda given: app.delete_jobs(given, queue="default"),
        "delete_jobs(deletion=)": lambda given: app.delete_jobs(["one"], queue="default", deletion=given),
        "mark_group(state)": lambda given: app.mark_group("one", given, queue="default"),
        "mark_group(note=)": lambda given: app.mark_group("one", queue="default", note=given),
        "mark_group(group)": lambda given: app.mark_group(given, queue="default"),
        "worker(concurrency=)": lambda given: app.worker(concurrency=given),
        "health(within)": lambda given: Worker(app).health(given),
    }
    for verb in VERBS:
        method = getattr(app, verb)
        names = [name for name in inspect.signature(method).parameters if name not in ("which", "self")]
        needed = [
            name
            for name, one in inspect.signature(method).parameters.items()
            if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
        ]
        if verb in ("cancel_jobs", "failed_jobs", "retry_failed", "delete_failed"):
            names += ["name", "error", "tenant", "since", "until", "group"]
        for name in names:
            others = {one: "ready" if one == "state" else "acme" for one in needed if one != name}
            taken.setdefault(f"{verb}({name}=)", lambda given, m=method, n=name, o=others: m(**(o | {n: given})))
    return taken


@pytest.mark.parametrize("seed", SEEDS)
async def test_verbs_take_absurd_values_or_refuse_them_and_lists_work_afterwards(
    make_app: Callable[..., App], seed: int
) -> None:
    chance, app, ran = random.Random(seed), make_app(poll_interval=0.05), Notes[str]()

    @app.job
    async def work(value: Any = None) -> None: ...

    @app.job
    async def last() -> None:
        ran.append("last")

    async with app:
        await work.with_options(job_id="waits").schedule_in(3600, 1)
        taken = verbs(app, work)
        calls = [(what, value) for what in taken for value in ABSURD]
        for n, (what, value) in enumerate(chance.sample(calls, len(calls) // len(SEEDS))):
            try:
                found = taken[what](value)
                if inspect.isawaitable(found):
                    await found
            except AsyncJobsError:
                pass
            except BaseException as error:
                error.add_note(f"{what}, {shown(value)}")
                raise
            if n % 200 == 0:
                await listings(app)
        await listings(app)
        await app.resume("default")
        async with app.worker():
            for queue in (await app.stats()).queues:
                await app.resume(queue.queue_name)
            await last.delay()
            await ran.reach(1)
        await listings(app)


@pytest.mark.parametrize("option", SendOptions.__annotations__)
async def test_jobs_with_absurd_options_that_were_accepted_run_and_are_listed(
    make_app: Callable[..., App], option: str
) -> None:
    app, ran = make_app(), Notes[str]()

    @app.job
    async def work() -> None: ...

    @app.job
    async def last() -> None:
        ran.append("last")

    async with app:
        accepted = absurd(lambda given: work.with_options(**{option: given}), option)
        for one in accepted:
            with contextlib.suppress(AsyncJobsError):
                await one.delay()
        await listings(app)
        async with app.worker():
            await last.delay()
            await ran.reach(1)
        await listings(app)
