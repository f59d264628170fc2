"""The page of jobs: filters, searches that go on, samples, and what is done with selected jobs."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from html import unescape
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from asyncjobs import App, Cancel, RetryPolicy, Worker, current_job
from asyncjobs.admin import admin_api, dashboard
from asyncjobs.admin.dashboard.commands import command, python_call, quoted
from asyncjobs.admin.dashboard.shown import MAX_BRIEF, brief
from tests.admin.crawl import Document
from tests.admin.test_api import role_of
from tests.web import Reply, fetch

pytestmark = pytest.mark.anyio

WORST = [
    "$(touch /tmp/asyncjobs-was-here)",
    "`id`",
    "'; rm -rf ~; '",
    '"; $HOME "',
    "a\nb",
    "\x1b[201~\nid\n",
    "\x03",
    "\u202egnp.exe",
    "-rf",
    "--app=evil:app",
    "!history",
    "~root",
    "back\\slash'quote",
    "é ü 💥",
    "*?[a]{b,c}",
    " ",
    "# no comment",
    "\x7f\x00".strip("\x00"),
]


@pytest.fixture
def web(app: App) -> Any:
    return dashboard(app, authorize=role_of)


@pytest.fixture
def mail(app: App) -> Any:
    @app.job(name="send_email", queue="bulk", retry=RetryPolicy(max_retries=0))
    async def mail(to: str, subject: str = "Hi") -> None:
        if "gone" in to:
            raise LookupError(f"no mailbox {to}")

    return mail


async def page(web: Any, target: str, role: str = "admin") -> str:
    reply = await fetch(web, target, "GET", {"x-role": role})
    assert reply.status == 200, (target, reply.body)
    return reply.body.decode()


async def post(web: Any, target: str, role: str = "admin", **fields: Any) -> Reply:
    kind = "application/x-www-form-urlencoded"
    return await fetch(
        web, target, "POST", {"x-role": role, "content-type": kind}, urlencode(fields, doseq=True).encode()
    )


async def test_a_job_is_found_by_a_text_and_its_arguments_stand_in_the_row(app: App, web: Any, mail: Any) -> None:
    async with app:
        sent = [await mail.delay(f"user{number}@example.com", "Hi") for number in range(3)]
        text = await page(web, f"/jobs?text={quote('user1@')}")
        assert sent[1].id in text
        assert sent[0].id not in text
        assert "to='user1@example.com', subject='Hi'" in unescape(text)
        assert "Searched 3 of 3 · 1 found" in " ".join(text.split())
        assert "data-still" in text
        assert "data-still" not in await page(web, "/jobs")
        # Nor is it counted again and again how many jobs would be cancelled.
        assert "data-still" in await page(web, "/cancel?state=ready&text=user1")


async def test_a_search_that_has_not_seen_all_jobs_goes_on_by_a_link(
    app: App, web: Any, mail: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncjobs.app.verbs.search.MAX_LOOKED_AT", 10)
    async with app:
        await app.enqueue_many([mail.request("x") for _ in range(15)])
        wanted = await mail.delay("needle")
        first = await page(web, "/jobs?text=needle")
        assert "6 jobs are left to search" in first
        [link] = re.findall(r'href="([^"]*after=[^"]*)"[^>]*>go on', first)
        assert wanted.id in await page(web, unescape(link))


async def test_who_may_not_see_values_sees_no_arguments_and_no_search_for_them(app: App, web: Any, mail: Any) -> None:
    async with app:
        await mail.delay("user1@example.com")
        text = await page(web, "/jobs", "viewer")
        assert "user1@" not in text
        assert 'name="text"' not in text
        assert 'type="checkbox"' not in text
        assert (await fetch(web, "/jobs?text=user1", "GET", {"x-role": "viewer"})).status == 403


async def test_the_names_in_a_large_queue_are_told_by_a_sample(app: App, web: Any, mail: Any) -> None:
    async with app:
        await app.enqueue_many([mail.request("x") for _ in range(60)])
        assert "≈ 100 % are" in await page(web, "/jobs?queue=bulk")


@pytest.mark.parametrize("verb", ["cancel", "priority", "run"])
async def test_selected_jobs_are_changed_once_that_is_confirmed(app: App, web: Any, mail: Any, verb: str) -> None:
    async with app:
        jobs = [await mail.schedule_in(3600, f"user{number}@example.com") for number in range(3)]
        chosen = [f"{job.id} bulk" for job in jobs[:2]]
        at = "/jobs?state=scheduled&queue=bulk"
        asked = await page(web, f"/jobs/selected?{urlencode({'verb': verb, 'job': [*chosen], 'at': at}, doseq=True)}")
        assert "2 jobs" in asked
        assert all(value in unescape(asked) for value in (*chosen, "user1@example.com"))
        sent = await post(web, "/jobs/selected", verb=verb, job=chosen, at=at, priority="low")
        assert (sent.status, sent.headers["location"].partition("?")[0]) == (303, "/jobs")
        assert "state=scheduled" in sent.headers["location"]
        found = [await app.find_job(job.id) for job in jobs]
        match verb:
            case "cancel":
                assert [one.state.value for one in found] == ["cancelled", "cancelled", "pending"]
            case "priority":
                assert [one.priority.label for one in found] == ["low", "low", "normal"]
            case "run":
                assert [one.due_at_ms is None for one in found] == [True, True, False]
        told = await page(web, sent.headers["location"])
        assert 'role="status">2 ' in told


async def test_for_jobs_that_are_gone_it_is_too_late_and_others_are_not_for_all(app: App, web: Any, mail: Any) -> None:
    async with app:
        waits, ended = await mail.schedule_in(60, "a"), await mail.delay("b")
        await _run(app)
        chosen = [f"{waits.id} bulk", f"{ended.id} bulk", "unknown bulk"]
        assert (await post(web, "/jobs/selected", "viewer", job=chosen)).status == 403
        sent = await post(web, "/jobs/selected", job=chosen)
        assert "n=1&skipped=2" in sent.headers["location"]
        assert (await fetch(web, "/jobs/selected", "GET", {"x-role": "admin"})).status == 400


async def _run(app: App) -> None:
    await Worker(app, queues=["bulk"]).run_until_empty()


async def test_the_last_ends_of_a_name_are_listed(app: App, web: Any, mail: Any) -> None:
    async with app:
        fine, gone = await mail.delay("a"), await mail.delay("gone")
        await _run(app)
        text = await page(web, "/jobs?state=ended&name=send_email")
        assert fine.id in text
        assert gone.id in text
        assert "no mailbox gone" in text
        assert "Give a name" in await page(web, "/jobs?state=ended")


@pytest.mark.parametrize("text", WORST)
def test_a_command_that_is_copied_passes_any_text_as_it_is_and_runs_nothing(text: str) -> None:
    line = command("show", text, options={"queue": text})
    assert line.isprintable()
    told = subprocess.run(
        ["bash", "-c", f"asyncjobs() {{ printf '%s\\0' \"$@\"; }}; {line}"], capture_output=True, check=True, timeout=20
    )
    words = told.stdout.decode().split("\0")[:-1]
    assert words == ["show", f"--queue={text}", *(["--"] if text.startswith("-") else []), text]
    assert quoted(text).isprintable()


@pytest.mark.parametrize("text", WORST)
def test_python_that_is_copied_has_the_text_as_a_literal(text: str) -> None:
    call = python_call("find_job", text, options={"queue": text, "tenant": None})
    assert call.isprintable()
    code = f"def f(*a, **k): print(repr((a, k)))\nf{call.removeprefix('await app.find_job')}"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=20)
    assert told.stdout.decode().strip() == repr(((text,), {"queue": text}))


def test_arguments_are_cut_before_they_are_sent() -> None:
    assert brief({"to": "a'b", "n": 3, "more": {"x": [1]}}) == """to="a'b", n=3, more={"x":[1]}"""
    long = brief({"text": "x" * 10_000_000, "n": 1})
    assert len(long) <= MAX_BRIEF
    assert long.endswith("…")
    assert len(brief({str(number): number for number in range(10_000)})) <= MAX_BRIEF


async def test_the_page_of_a_queue_tells_which_names_wait_in_it(app: App, web: Any, mail: Any) -> None:
    async with app:
        await app.enqueue_many([mail.request("x") for _ in range(3)])
        text = " ".join(unescape(await page(web, "/queues/bulk")).split())
        assert "In line, of 3 looked at:" in text
        assert "≈ 100 %" in text
        assert "In line, of" not in await page(web, "/queues/unknown")


async def test_of_a_job_that_is_gone_its_id_tells_when_it_was_sent(app: App, web: Any, mail: Any) -> None:
    async with app:
        gone = await mail.delay("x")
        await app.cancel_job(gone.id)
        await app.delete_job(gone.id)
        found = await fetch(web, f"/search?q={gone.id}", "GET", {"x-role": "viewer"})
        assert "By its id, it was sent" in await page(web, found.headers["location"])
        assert "By its id" not in await page(web, "/jobs?missing=something")


async def test_running_jobs_are_listed_while_they_end_in_all_ways(app: App, web: Any) -> None:
    mounted = Starlette(routes=[Mount("/x/y", web), Mount("/api", admin_api(app, authorize=role_of))])

    @app.job(retry=RetryPolicy(max_retries=1, initial=0.01))
    async def work(number: int) -> None:
        current_job().progress(number, 0 if number % 2 else None, "some")
        await asyncio.sleep(0.01 * (number % 3))
        if number % 4 == 1:
            raise LookupError(str(number))
        if number % 4 == 2:
            raise Cancel("enough")

    async def over() -> bool:
        figures = await app.queue_stats("default")
        return not (figures.size or figures.running)

    async def look(target: str) -> None:
        while not await over():
            assert (await fetch(mounted, target, headers={"x-role": "admin"})).status == 200, target
            assert {job.queue for job in await app.jobs("running")} <= {"default"}
            # A reading of the memory broker lets nobody else in.
            await asyncio.sleep(0.01)

    async with app, app.worker(concurrency=20):
        await app.enqueue_many([work.request(number) for number in range(24)])
        targets = ("/x/y/jobs?state=running", "/api/jobs?state=running")
        await asyncio.gather(*map(look, targets))


# -- all that match


async def look(web: Any, target: str, role: str = "admin") -> Document:
    return Document(await page(web, target, role))


async def test_all_jobs_of_a_filter_are_cancelled_in_portions_once_their_number_is_typed(
    app: App, web: Any, mail: Any
) -> None:
    async with app:
        await app.enqueue_many([mail.request(f"user{number}@example.com") for number in range(1_100)])
        kept = await mail.with_options(tenant="acme", queue="default").delay("kept@example.com")
        listed = await look(web, "/jobs?state=ready&queue=bulk")
        assert "/cancel?state=ready&queue=bulk" in listed.links
        asked = await look(web, "/cancel?state=ready&queue=bulk")
        assert "Cancel 1,100 jobs?" in asked.text
        assert "to='user0@example.com'" in asked.text
        fields = asked.forms["/cancel"]
        reply = await post(web, "/cancel", **{**fields, "typed": "11", "why": "spam"})
        asked = await look(web, reply.headers["location"])
        assert "so nothing was done" in asked.text
        assert (await app.queue_stats("bulk")).pending == 1_100
        fields = {**asked.forms["/cancel"], "typed": "1,100"}
        assert fields["why"] == "spam"
        told: list[str] = []
        while True:
            reply = await post(web, "/cancel", **fields)
            after = await look(web, reply.headers["location"])
            if "/cancel" not in after.forms:
                break
            told.append(after.text)
            fields = after.forms["/cancel"]
        assert reply.headers["location"] == "/jobs?state=ready&queue=bulk&done=cancel&n=1100"
        assert "1,100 cancelled." in after.text
        assert "500 of 1,100 done." in told[0]
        assert [job.id for job in await app.jobs("ready")] == [kept.id]
        assert {(one.verb, one.via, one.note) for one in await app.audit()} == {("cancel_jobs", "dashboard", "spam")}


@pytest.mark.parametrize("odd", ["gnp.\u202eexe\u2066", "a\u200bb", '"><b>&#8238;&amp;'])
async def test_what_cannot_be_seen_of_a_filter_comes_back_from_the_page_that_asks(
    app: App, web: Any, mail: Any, odd: str
) -> None:
    async with app:
        await mail.with_options(tenant=odd).delay("x")
        written = odd.replace("\u202e", "\\u202e").replace("\u2066", "\\u2066").replace("\u200b", "\\u200b")
        kept = await mail.with_options(tenant=f"{written}!").delay("x")
        asked = await look(web, f"/cancel?state=ready&tenant={quote(odd, safe='')}")
        reply = await post(web, "/cancel", **asked.forms["/cancel"])
        assert "1 cancelled." in (await look(web, reply.headers["location"])).text
        await mail.with_options(job_id=odd).delay("x")
        asked = await look(web, f"/jobs/selected?verb=cancel&job={quote(f'{odd} bulk', safe='')}")
        reply = await post(web, "/jobs/selected", **asked.forms["/jobs/selected"])
        assert "1 cancelled." in (await look(web, reply.headers["location"])).text
        assert [job.id for job in await app.jobs("ready")] == [kept.id]


async def test_jobs_that_are_sent_after_the_question_are_not_cancelled(app: App, web: Any, mail: Any) -> None:
    async with app:
        await app.enqueue_many([mail.request(f"user{number}@example.com") for number in range(600)])
        asked = await look(web, "/cancel?state=ready&queue=bulk")
        fields = {**asked.forms["/cancel"], "typed": "600"}
        # The clock of the sender, which is that of its id, has gone on.
        await asyncio.sleep(0.01)
        late = [(await mail.delay("late@example.com")).id]
        while True:
            reply = await post(web, "/cancel", **fields)
            page = await look(web, reply.headers["location"])
            if "/cancel" not in page.forms:
                break
            fields = page.forms["/cancel"]
            late.append((await mail.delay("later@example.com")).id)
        assert "600 cancelled." in page.text
        assert [job.id for job in await app.jobs("ready")] == late
        [link, *_] = [one for one in (await look(web, "/audit")).links if one.startswith("/jobs?")]
        assert link == "/jobs?state=ready&queue=bulk"


async def test_jobs_are_cancelled_by_name_tenant_and_text_and_others_left(app: App, web: Any, mail: Any) -> None:
    async with app:
        for tenant, to in (("acme", "ada@x"), ("acme", "bob@x"), ("globex", "ada@x")):
            await mail.with_options(tenant=tenant).delay(to)
        asked = await look(web, "/cancel?state=ready&tenant=acme&text=ada")
        assert "Cancel 1 job?" in asked.text
        reply = await post(web, "/cancel", **asked.forms["/cancel"])
        assert "1 cancelled." in (await look(web, reply.headers["location"])).text
        assert [(job.tenant, (job.named_arguments or {})["to"]) for job in await app.jobs("ready")] == [
            ("acme", "bob@x"),
            ("globex", "ada@x"),
        ]
        assert "No job matches" in (await look(web, "/cancel?state=ready&tenant=acme&text=ada")).text
        form = {"state": "ready", "tenant": "globex"}
        headers = {"x-role": "admin", "x-tenants": "acme", "content-type": "application/x-www-form-urlencoded"}
        await fetch(web, "/cancel", "POST", headers, urlencode(form).encode())
        assert len(await app.jobs("ready")) == 2


async def test_who_may_not_cancel_has_no_link_and_no_page_for_all(app: App, web: Any, mail: Any) -> None:
    async with app:
        await mail.delay("ada@x")
        assert not [one for one in (await look(web, "/jobs", "viewer")).links if one.startswith("/cancel")]
        assert (await fetch(web, "/cancel", headers={"x-role": "viewer"})).status == 403
        assert (await post(web, "/cancel", "viewer", state="ready")).status == 403
        assert len(await app.jobs("ready")) == 1
