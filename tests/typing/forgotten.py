"""Calls whose ``await`` is forgotten: each marked line must be complained of, and no other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from asyncjobs import App, Job, JobContext, JobHandle, JobRequest, Middleware, Worker, job
from asyncjobs.middleware import CallNext, Send
from asyncjobs.telemetry import QueueGauges
from asyncjobs.tenancy import TenantResolver
from asyncjobs.testing import Kit

app = App("memory://")


@app.job
async def plain(to: str) -> str:
    return to


@job
def thumbnail(path: str) -> bytes:
    return path.encode()


class Layer(Middleware):
    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> list[JobHandle[Any]]:
        send(requests)  # wrong
        super().enqueue(requests, send)  # wrong
        return await send(requests)

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        call_next(job)  # wrong
        super().process(job, call_next)  # wrong
        return await call_next(job)

    async def ended(self, job: Job) -> None:
        super().ended(job)  # wrong


async def jobs(when: datetime) -> None:
    plain("a")  # wrong
    plain.delay("a")  # wrong
    plain.schedule_at(when, "a")  # wrong
    plain.schedule_in(5, "a")  # wrong
    plain.with_options(priority="low").delay("a")  # wrong
    plain.with_options(priority="low").schedule_at(when, "a")  # wrong
    plain.with_options(priority="low").schedule_in(5, "a")  # wrong
    thumbnail.delay("a")  # wrong
    thumbnail.schedule_at(when, "a")  # wrong
    thumbnail.schedule_in(5, "a")  # wrong
    thumbnail("a")
    thumbnail.delay_sync("a")
    plain.request("a")


async def handles(handle: JobHandle[int]) -> None:
    handle.refresh()  # wrong
    handle.status()  # wrong
    handle.result()  # wrong
    handle.next_events()  # wrong
    handle.cancel()  # wrong
    plain.handle("a").refresh()  # wrong
    plain.handle("a").status()  # wrong
    plain.handle("a").result()  # wrong
    plain.handle("a").next_events()  # wrong
    plain.handle("a").cancel()  # wrong


async def verbs() -> None:
    app.enqueue_many([plain.request("a"), thumbnail.request("a")])  # wrong
    app.enqueue_for_tenant("acme", plain.request("a"))  # wrong
    app.send("plain", ["a"])  # wrong
    app.find_job("a")  # wrong
    app.cancel_job("a")  # wrong
    app.cancel_jobs()  # wrong
    app.edit_job("a")  # wrong
    app.delete_job("a")  # wrong
    app.jobs("ready")  # wrong
    app.search_jobs()  # wrong
    app.why("id")  # wrong
    app.problems()  # wrong
    app.sample_queue("default")  # wrong
    app.failed_jobs()  # wrong
    app.failed_page()  # wrong
    app.retry_job("a")  # wrong
    app.retry_failed()  # wrong
    app.retry_jobs(["a"], queue="default")  # wrong
    app.delete_failed()  # wrong
    app.delete_jobs(["a"], queue="default")  # wrong
    app.undelete_failed()  # wrong
    app.undelete_jobs(["a"])  # wrong
    app.failed_groups()  # wrong
    app.mark_group("a", queue="default")  # wrong
    app.pause("default")  # wrong
    app.audit()  # wrong
    app.server()  # wrong
    app.deploys()  # wrong
    app.resume("default")  # wrong
    app.suspend_name("plain")  # wrong
    app.resume_name("plain")  # wrong
    app.suspended_names()  # wrong
    app.suspend_tenant("acme")  # wrong
    app.resume_tenant("acme")  # wrong
    app.suspended_tenants()  # wrong
    app.set_limit("default", running=1)  # wrong
    app.reset_limit("default")  # wrong
    app.set_limit("default", "mail", 42, rate="5/s")  # wrong
    app.tenants()  # wrong
    app.tenant_stats("acme")  # wrong
    app.purge_tenant("acme")  # wrong
    app.purge_queue("default")  # wrong
    app.stats()  # wrong
    app.queue_stats("default")  # wrong
    app.gates("default")  # wrong
    app.turns("default")  # wrong
    app.queue_minutes("default")  # wrong
    app.queue_series("default")  # wrong
    app.queue_loads()  # wrong
    app.load("default")  # wrong
    app.names()  # wrong
    app.name_series("plain")  # wrong
    app.job_history("default")  # wrong
    app.add_schedule("a", plain.request("a"), every=60)  # wrong
    app.schedules()  # wrong
    app.find_schedule("a")  # wrong
    app.pause_schedule("a")  # wrong
    app.resume_schedule("a")  # wrong
    app.remove_schedule("a")  # wrong
    app.trigger_schedule("a")  # wrong
    app.sync.stats()


async def workers(worker: Worker, gauges: QueueGauges, resolver: TenantResolver) -> None:
    worker.run()  # wrong
    worker.run_once()  # wrong
    worker.run_until_empty()  # wrong
    gauges.refresh(app)  # wrong
    gauges.keep_refreshed(app)  # wrong
    resolver.resolve("acme")  # wrong


async def tests_of_users(kit: Kit) -> None:
    kit.run()  # wrong
    kit.run_for(60)  # wrong
    kit.run_sync()
