"""The ids of a tenant's jobs are its own; outside of any scope each has one name that can't be forged."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs import (
    App,
    ArgumentsError,
    DefinitionError,
    Job,
    JobHandle,
    JobRequest,
    JobState,
    Middleware,
    UnknownJob,
    Worker,
    current_job,
    tenant_scope,
)
from asyncjobs.core.identity import kept_id, own_part
from asyncjobs.core.options import checked_id, checked_tenant
from asyncjobs.middleware import Send
from tests.apps import find_or_none
from tests.waiting import SOON, Notes

pytestmark = pytest.mark.anyio


async def send(job: Any, tenant: str | None, job_id: str, *arguments: Any) -> JobHandle[Any]:
    with tenant_scope(tenant):
        return await job.with_options(job_id=job_id).delay(*arguments)


async def run_all(app: App) -> None:
    await Worker(app, queues=["default", "second"]).run_until_empty()


# -- sending


async def test_the_same_id_in_two_tenants_and_in_none_is_three_jobs(app: App, pay: Any) -> None:
    async with app:
        handles = [await send(pay, tenant, "invoice-1007", n) for n, tenant in enumerate(["acme", "globex", None])]
        again = [await send(pay, tenant, "invoice-1007", 9) for tenant in ("acme", "globex", None)]
        await run_all(app)
        results = [await handle.result(timeout=SOON) for handle in [*handles, *again]]
    assert [handle.is_new for handle in handles] == [True] * 3
    assert [handle.is_new for handle in again] == [False] * 3
    assert [handle.id for handle in handles] == [handle.id for handle in again]
    assert results == [0, 1, 2, 0, 1, 2]


async def test_every_way_to_name_a_tenant_leads_to_its_own_ids(app: App, pay: Any) -> None:
    ids: Notes[str] = Notes()

    @app.job
    async def parent() -> None:
        ids.append((await pay.with_options(job_id="x").delay()).id)

    async with app, app.worker():
        await parent.with_options(tenant="acme").delay()
        await ids.reach(1)
        ids.append((await pay.with_options(job_id="x", tenant="acme").delay()).id)
        ids.append((await app.enqueue_for_tenant("acme", pay.with_options(job_id="x").request())).id)
        request = pay.with_options(job_id="x").request()
        with tenant_scope("acme"):
            ids.extend([handle.id for handle in await app.enqueue_many([request, request])])
            ids.append((await pay.with_options(job_id="x").schedule_in(0)).id)
            ids.append((await asyncio.to_thread(pay.with_options(job_id="x").delay_sync)).id)
        with tenant_scope("globex"):
            ids.append((await pay.with_options(job_id="x", tenant="acme").delay()).id)
            others = await pay.with_options(job_id="x", tenant=None).delay()
    assert set(ids) == {"@acme:x"}
    assert others.id == "x"


async def test_a_new_id_is_its_tenants_too_and_tells_when_it_was_made(app: App, pay: Any) -> None:
    async with app:
        handle = await pay.with_options(tenant="acme").delay()
        plain = await pay.delay()
        job, other = await handle.refresh(), await plain.refresh()
        with tenant_scope("globex"):
            for others in (handle.id, own_part(handle.id), plain.id):
                with pytest.raises(UnknownJob):
                    await app.find_job(others)
        with tenant_scope("acme"):
            assert await app.find_job(handle.id) == await app.find_job(own_part(handle.id)) == job
    assert handle.id.startswith("@acme:")
    assert 0 <= other.created_at_ms - job.created_at_ms < 60_000


async def test_a_job_knows_itself_and_may_make_other_ids_of_its_own(app: App, pay: Any) -> None:
    notes: Notes[Any] = Notes()

    @app.job
    async def parent() -> None:
        me = current_job().id
        found = await app.find_job(me)
        child = await pay.with_options(job_id=f"{me}-child").delay()
        elsewhere = await pay.with_options(job_id=f"{me}-child", tenant="globex").delay()
        notes.append((me, found.id, child.id, elsewhere.id))
        with pytest.raises(ArgumentsError, match="begins with @"):
            pay.with_options(job_id=f"{me}-child", tenant=None).delay()
        notes.append(await find_or_none(app, elsewhere.id))

    async with app, app.worker():
        await parent.with_options(tenant="acme", job_id="p").delay()
        await notes.reach(2)
    assert notes == [("@acme:p", "@acme:p", "@acme:p-child", "@globex:@acme:p-child"), None]


async def test_a_handler_in_a_thread_names_its_tenants_jobs_alone(app: App, pay: Any) -> None:
    @app.job
    def parent() -> list[str]:
        with pytest.raises(UnknownJob):
            app.sync.find_job("x")
        child = pay.with_options(job_id="x").delay_sync()
        return [child.id, app.sync.find_job("x").id]

    async with app, app.worker():
        await send(pay, "globex", "x")
        handle = await parent.with_options(tenant="acme").delay()
        assert await handle.result(timeout=SOON) == ["@acme:x", "@acme:x"]


async def test_a_handle_works_in_every_scope(app: App, pay: Any) -> None:
    async with app, app.worker():
        handle = await send(pay, "acme", "x", 5)
        for tenant in ("acme", "globex", None):
            with tenant_scope(tenant):
                assert await handle.result(timeout=SOON) == 5
                assert await handle.status() is JobState.COMPLETED
                assert [event async for event in handle.events()] == []
                assert await handle.cancel() is False
        named = app.handle(handle.id)
        with tenant_scope("acme"):
            own = [app.handle("x"), app.handle(handle.id)]
        with tenant_scope("globex"):
            others = [app.handle("x"), app.handle(handle.id)]
        assert [await one.result(timeout=SOON) for one in (named, *own)] == [5, 5, 5]
        for other in others:
            with pytest.raises(UnknownJob):
                await other.result(timeout=SOON)


# -- a layer that names the tenant


class ForTenant(Middleware):
    """Sends all jobs for one tenant, or for none."""

    def __init__(self, tenant: str | None) -> None:
        self._tenant = tenant

    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> list[JobHandle[Any]]:
        return await send([request.with_options(tenant=self._tenant) for request in requests])


@pytest.mark.parametrize(("tenant", "kept"), [("globex", "@globex:x"), (None, "x")])
async def test_a_layer_of_sending_that_names_another_tenant_leads_to_the_ids_of_that_one(
    make_app: Callable[..., App], tenant: str | None, kept: str
) -> None:
    app = make_app(middleware=[ForTenant(tenant)])

    @app.job
    async def pay() -> str:
        return current_job().id

    async with app, app.worker():
        for scope in ("acme", None):
            with tenant_scope(scope):
                one = await pay.with_options(job_id="x").delay()
                [many] = await app.enqueue_many([pay.with_options(job_id="x").request()])
            assert one.id == many.id == await one.result(timeout=SOON) == kept


# -- naming a job


def verbs_by_id(what: str) -> list[str]:
    found = inspect.getmembers(App, inspect.isfunction)
    return sorted(name for name, verb in found if what in inspect.signature(verb).parameters and name[0] != "_")


NAMING_SCHEDULES = [verb for verb in verbs_by_id("schedule_id") if verb != "add_schedule"]
CHANGES: dict[str, dict[str, Any]] = {"edit_job": {"priority": "low"}}


@pytest.mark.parametrize("verb", verbs_by_id("job_id"))
@pytest.mark.parametrize("state", ["waiting", "ended", "dead"])
async def test_to_each_verb_another_tenants_job_is_unknown(
    app: App, pay: Any, fail: Any, verb: str, state: str
) -> None:
    async with app:
        handle = await send(fail if state == "dead" else pay, "acme", "x")
        if state != "waiting":
            await run_all(app)
        before = await handle.refresh()
        for tenant in ("globex", None):
            for name in ("x",) if tenant is None else ("x", handle.id, own_part(handle.id)):
                for queue in ({"queue": "default"}, {}):
                    with tenant_scope(tenant):
                        assert await outcome(app, verb, name, **queue) is UnknownJob
        assert await handle.refresh() == before
        with tenant_scope("acme"):
            assert await outcome(app, verb, "x") is not UnknownJob


async def outcome(app: App, verb: str, name: str, **queue: str) -> Any:
    call = getattr(app, verb)
    try:
        if verb == "handle":
            return await call(name, **queue).refresh()
        return await call(name, **queue, **CHANGES.get(verb, {}))
    except UnknownJob:
        return UnknownJob


async def test_an_operator_names_one_of_two_jobs_of_the_same_id(app: App, pay: Any, fail: Any) -> None:
    async with app:
        for tenant in ("acme", "globex"):
            await send(fail, tenant, "x")
        await run_all(app)
        dead = await app.failed_jobs()
        assert {(job.id, job.tenant) for job in dead} == {("@acme:x", "acme"), ("@globex:x", "globex")}
        assert await app.retry_job("@acme:x")
        assert {job.id: job.state for job in await app.jobs("failed")} == {"@globex:x": JobState.FAILED}
        assert [job.id for job in await app.jobs("ready")] == ["@acme:x"]
        assert await app.edit_job("@acme:x", to_queue="second") == "edited"
        moved = await app.find_job("@acme:x", queue="second")
        assert moved is not None
        assert (moved.tenant, moved.state) == ("acme", JobState.PENDING)
        with tenant_scope("acme"):
            assert await app.cancel_job("x", queue="second") == "cancelled"
        assert await app.delete_job("@globex:x")
        assert {entry.id for entry in await app.job_history("fail")} == {"@acme:x", "@globex:x"}


async def test_a_job_without_a_tenant_can_not_be_given_the_id_of_a_tenants(app: App, pay: Any) -> None:
    async with app:
        await send(pay, "acme", "x")
        call = pay.with_options(job_id="@acme:x")
        with pytest.raises(ArgumentsError, match="'@acme:x' begins with @"):
            call.delay()
        with pytest.raises(ArgumentsError, match="begins with @"):
            await app.enqueue_many([pay.request(), call.request()])
        with pytest.raises(ArgumentsError, match="begins with @"):
            await app.add_schedule("@acme:x", pay.request(), every=60)
        assert not (await call.with_options(tenant="acme").delay()).is_new
        assert await app.jobs("ready", tenant="acme") == await app.jobs("ready")


def test_a_job_with_a_schedule_can_not_have_the_name_of_a_tenants_schedule() -> None:
    app = App("memory://")
    with pytest.raises(DefinitionError, match="@acme:x"):

        @app.job(name="@acme:x", every=60)
        async def work() -> None: ...


def accepted(check: Callable[[str], object]) -> st.SearchStrategy[str]:
    def passes(text: str) -> bool:
        try:
            check(text)
        except ArgumentsError:
            return False
        return True

    return st.text(st.sampled_from("a@:%/ 3A\u00e9\u2028"), min_size=1, max_size=5).filter(passes)


IDS, TENANTS = accepted(lambda text: checked_id("job_id", text)), accepted(checked_tenant)


@given(*[st.tuples(st.just("") | TENANTS, IDS)] * 2)
def test_no_two_pairs_of_tenant_and_id_are_written_alike(one: tuple[str, str], other: tuple[str, str]) -> None:
    try:
        kept = kept_id(*one), kept_id(*other)
    except ArgumentsError:
        return
    # What begins with the tenant's own prefix is the written form already.
    same = [(tenant, own_part(id_) if tenant and kept_id(tenant, id_) == id_ else id_) for tenant, id_ in (one, other)]
    assert (kept[0] == kept[1]) == (same[0] == same[1])
    assert checked_id("job_id", kept[0]) == kept[0]


@pytest.mark.parametrize("given", [None, 5, b"x", ["x"], "\ud800"])
async def test_what_is_no_text_is_no_id(app: App, given: Any) -> None:
    async with app:
        for verb in [*verbs_by_id("job_id"), *NAMING_SCHEDULES]:
            for tenant in (None, "acme"):
                with tenant_scope(tenant), pytest.raises(ArgumentsError, match="is no id: expected text"):
                    await outcome(app, verb, given)


# -- lists


async def test_lists_in_a_scope_are_of_its_tenant(app: App, pay: Any, fail: Any) -> None:
    async with app:
        for tenant in ("acme", "globex", None):
            await send(fail, tenant, "f")
            await send(pay, tenant, "p")
        await run_all(app)
        for tenant in ("acme", "globex", None):
            await send(pay, tenant, "q")
        with tenant_scope("acme"):
            lists: list[list[Any]] = [
                await app.jobs("ready"),
                await app.jobs("failed"),
                await app.failed_jobs(),
                await app.job_history("pay"),
                await app.job_history(),
            ]
            assert [[one.id for one in found] for found in lists] == [
                ["@acme:q"],
                ["@acme:f"],
                ["@acme:f"],
                ["@acme:p"],
                ["@acme:p", "@acme:f"] if lists[4][0].name == "pay" else ["@acme:f", "@acme:p"],
            ]
            assert [job.id for job in await app.jobs("ready", tenant="globex")] == ["@globex:q"]
            assert await app.retry_failed() == 1
            assert await app.delete_failed() == 0
        assert {job.id for job in await app.failed_jobs()} == {"@globex:f", "f"}
        with tenant_scope("globex"):
            assert await app.delete_failed() == 1
        assert {job.id for job in await app.failed_jobs()} == {"f"}


async def test_the_verbs_for_code_without_a_loop_know_the_scope(app: App, pay: Any) -> None:
    async with app:
        await send(pay, "acme", "x")

        def look() -> list[Any]:
            found = []
            for tenant in ("acme", "globex"):
                with tenant_scope(tenant):
                    found += [app.sync.jobs("ready")]
                    if tenant == "acme":
                        found += [app.sync.find_job("x")]
                    else:
                        with pytest.raises(UnknownJob):
                            app.sync.find_job("x")
            return found

        own_list, own, others_list = await asyncio.to_thread(look)
    assert own_list == [own]
    assert others_list == []


async def test_a_purge_leaves_jobs_of_the_same_id_to_other_tenants(app: App, pay: Any, fail: Any) -> None:
    async with app:
        for tenant in ("acme", "globex"):
            await send(fail, tenant, "f")
        await run_all(app)
        for tenant in ("acme", "globex"):
            await send(pay, tenant, "x")
        assert await app.purge_tenant("acme") == 2
        left: list[Job] = [*await app.jobs("ready"), *await app.failed_jobs()]
    assert [job.id for job in left] == ["@globex:x", "@globex:f"]
