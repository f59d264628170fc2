"""What is done by hand is noted: what, by whom, from where, and why."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from asyncjobs import App, ArgumentsError, AuditEntry, BrokerUnavailable, Discard, Worker, acting, tenant_scope
from tests.apps import broker_of, wait_ended

pytestmark = pytest.mark.anyio


async def noted(app: App) -> list[AuditEntry]:
    """Return what was noted, first first."""
    return list(reversed(await app.audit()))


async def test_a_pause_says_by_whom_and_why_on_the_queue_and_in_the_audit(app: App) -> None:
    async with app:
        with acting("ada@example.com", "support"):
            await app.pause("mail", why="smtp migration")
        queue = await app.queue_stats("mail")
        assert queue.paused
        assert queue.pause is not None
        assert (queue.pause.by, queue.pause.why) == ("ada@example.com", "smtp migration")
        # Paused already: nothing happens, and nothing is noted.
        await app.pause("mail")
        with acting("bob"):
            await app.resume("mail")
        assert (await app.queue_stats("mail")).pause is None
        pause, resume = await noted(app)
        assert (pause.by, pause.via, pause.verb, pause.subject, pause.note) == (
            "ada@example.com",
            "support",
            "pause",
            "mail",
            "smtp migration",
        )
        assert (resume.by, resume.via, resume.verb) == ("bob", "python", "resume")
        assert pause.at <= resume.at


async def test_a_suspension_says_by_whom_and_why(app: App) -> None:
    async with app:
        with acting("ada"):
            await app.suspend_name("charge", queue="payments", why="the bank is down")
            await app.suspend_tenant("acme", queue="payments", why="unpaid")
        holds = (await app.queue_stats("payments")).holds
        assert [(one.kind, one.which, one.by, one.why) for one in holds] == [
            ("name", "charge", "ada", "the bank is down"),
            ("tenant", "acme", "ada", "unpaid"),
        ]
        assert [(one.verb, one.subject) for one in await noted(app)] == [
            ("suspend_name", "charge"),
            ("suspend_tenant", "acme"),
        ]


async def test_what_changes_many_jobs_is_noted_with_its_filter_and_number(app: App) -> None:
    @app.job
    async def charge() -> None:
        raise Discard("no")

    async with app:
        handles = [await charge.delay() for _ in range(3)]
        async with app.worker():
            for handle in handles:
                await wait_ended(app, handle.id)
        with acting("ada", note="ticket 4711"):
            assert await app.retry_failed(name="charge") == 3
            assert await app.cancel_jobs("ready", queue="default") == 3
            # Nothing is left to retry.
            assert await app.retry_failed() == 0
        retry, cancel = await noted(app)
        assert (retry.verb, retry.filter, retry.count, retry.note) == (
            "retry_failed",
            {"name": "charge"},
            3,
            "ticket 4711",
        )
        assert (cancel.verb, cancel.queue, cancel.filter, cancel.count) == (
            "cancel_jobs",
            "default",
            {"state": "ready"},
            3,
        )


async def test_the_tenant_that_the_code_runs_for_is_noted_with_the_filter(app: App) -> None:
    @app.job
    async def charge() -> None:
        raise Discard("no")

    async with app:
        for tenant in ("acme", "acme", "globex"):
            await charge.with_options(tenant=tenant).delay()
        await Worker(app).run_until_empty()
        with tenant_scope("acme"):
            assert await app.retry_failed(name="charge") == 2
            assert await app.cancel_jobs("ready") == 2
        await app.retry_failed(tenant="globex")
        await Worker(app).run_until_empty()
        with tenant_scope("globex"):
            assert await app.delete_failed() == 1
            assert await app.undelete_failed() == 1
        told = [(one.verb, one.filter, one.count) for one in await noted(app)]
        assert told == [
            ("retry_failed", {"name": "charge", "tenant": "acme"}, 2),
            ("cancel_jobs", {"state": "ready", "tenant": "acme"}, 2),
            ("retry_failed", {"tenant": "globex"}, 1),
            ("delete_failed", {"tenant": "globex"}, 1),
            ("undelete_failed", {"tenant": "globex"}, 1),
        ]


async def test_of_many_ids_the_first_ones_are_noted_each_whole(app: App) -> None:
    @app.job
    async def charge() -> None:
        raise Discard("no")

    async with app:
        ids = [(await charge.delay()).id for _ in range(20)]
        await Worker(app).run_until_empty()
        await app.retry_jobs(ids[:3], queue="default")
        await app.retry_jobs(ids[3:], queue="default")
        few, many = await noted(app)
        assert (few.subject, few.count) == (", ".join(ids[:3]), 3)
        *first, rest = many.subject.split(", ")
        assert (first, rest, many.count) == (ids[3 : 3 + len(first)], "…", 17)
        assert 270 < len(many.subject) <= 300


async def test_a_cancellation_for_which_no_reason_was_given_has_that_of_the_block(app: App) -> None:
    @app.job
    async def charge() -> None: ...

    async with app:
        one, other, _ = [await charge.delay() for _ in range(3)]
        with acting("ada", note="ticket 4711"):
            await app.cancel_job(one.id)
            await app.cancel_job(other.id, reason="sent twice")
            await app.cancel_jobs()
        assert [entry.note for entry in await noted(app)] == ["ticket 4711", "sent twice", "ticket 4711"]


async def test_what_a_program_does_to_single_jobs_is_noted_only_where_somebody_acts(app: App) -> None:
    @app.job
    async def charge() -> None: ...

    async with app:
        own, other = await charge.delay(), await charge.delay()
        await app.cancel_job(own.id)
        await app.add_schedule("nightly", charge.request(), every=3600)
        assert await noted(app) == []
        with acting("ada", "cli"):
            await app.edit_job(other.id, priority="high")
            await app.cancel_job(other.id, reason="sent twice")
            await app.pause_schedule("nightly")
            await app.pause_schedule("nightly")
            await app.trigger_schedule("nightly")
            await app.remove_schedule("nightly")
        edit, cancel, *schedule = await noted(app)
        assert (edit.verb, edit.subject, edit.filter) == ("edit_job", other.id, {"priority": "high"})
        assert (cancel.verb, cancel.subject, cancel.note) == ("cancel_job", other.id, "sent twice")
        assert [one.verb for one in schedule] == ["pause_schedule", "trigger_schedule", "remove_schedule"]
        assert {one.subject for one in schedule} == {"nightly"}


async def test_without_a_name_the_process_is_noted(app: App) -> None:
    async with app:
        await app.pause("mail")
        [entry] = await noted(app)
        assert (entry.by, entry.via) == (f"{socket.gethostname()}:{os.getpid()}", "python")


async def test_who_acts_is_known_in_threads_and_without_an_event_loop(app: App) -> None:
    def pause() -> None:
        with acting("ada"):
            app.sync.pause("mail", why="from a thread")

    async with app:
        with acting("bob"):
            await asyncio.to_thread(pause)
        [entry] = await noted(app)
        assert (entry.by, entry.note) == ("ada", "from a thread")


async def test_what_was_done_stays_done_if_it_can_not_be_noted(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(record: object) -> None:
        raise BrokerUnavailable("the audit is away")

    async with app:
        monkeypatch.setattr(broker_of(app), "audit", refuse)
        await app.pause("mail")
        assert (await app.queue_stats("mail")).paused
        assert "pause by" in caplog.text
        assert "could not be noted: the audit is away" in caplog.text


async def test_the_audit_is_read_in_pages(app: App) -> None:
    async with app:
        for number in range(5):
            await app.pause(f"queue-{number}")
        first = await app.audit(2)
        rest = await app.audit(10, before=first[-1].id)
        assert [one.subject for one in first + rest] == [f"queue-{number}" for number in (4, 3, 2, 1, 0)]
        with pytest.raises(ArgumentsError, match=r"before='yesterday': expected the id of an entry"):
            await app.audit(before="yesterday")
        with pytest.raises(ArgumentsError, match="at most 1000"):
            await app.audit(5_000)


async def test_long_texts_are_cut_or_refused(app: App) -> None:
    async with app:
        with pytest.raises(ArgumentsError, match="why has 501 characters; expected at most 500"):
            await app.pause("mail", why="x" * 501)
        with acting("a" * 5_000, "v" * 5_000, note="n" * 5_000):
            await app.pause("mail")
        [entry] = await noted(app)
        assert (len(entry.by), len(entry.via), len(entry.note)) == (200, 200, 500)


async def test_the_server_says_how_it_is(app: App) -> None:
    async with app:
        state = await app.server()
        assert state.nodes[0].version
