"""The page of one job: its timeline, tracebacks, large arguments, links, and what is done with it there."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest

from asyncjobs import App, ConfigurationError, RetryPolicy, Worker
from asyncjobs.admin import dashboard
from asyncjobs.admin.dashboard.outward import checked_links, outward
from asyncjobs.admin.dashboard.timeline import parts_of, timeline
from asyncjobs.core.view import AttemptError, JobDetails
from tests.admin.test_api import role_of
from tests.admin.test_jobs_pages import page, post
from tests.web import fetch

pytestmark = pytest.mark.anyio

AT = datetime(2026, 11, 26, 2, 41, 7, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


@pytest.fixture
def web(app: App) -> Any:
    return dashboard(app, authorize=role_of, links={"trace": "https://traces.example.com/{trace_id}?job={id}"})


@pytest.fixture
def charge(app: App) -> Any:
    @app.job(name="charge", queue="payments", retry=RetryPolicy(max_retries=0), secret=["card"])
    async def charge(order: int, card: str = "4111", note: str = "") -> str:
        if order > 1000:
            raise ConnectionError("connection to 10.0.0.7:5432 refused")
        return "charged"

    return charge


async def _run(app: App) -> None:
    await Worker(app, queues=["payments"]).run_until_empty()


async def test_a_dead_job_tells_its_story_and_is_retried(app: App, web: Any, charge: Any) -> None:
    async with app:
        job = await charge.with_options(metadata={"by": "cron"}).delay(1007)
        await _run(app)
        text = await page(web, f"/jobs/{job.id}?queue=payments")
        assert "attempt 1: ConnectionError" in text
        assert "its only attempt failed" in text
        assert "on the worker" in text
        assert "cron" in text
        assert '"order": 1007' in unescape(text)
        assert "Retry changed…" in text
        assert "Others like it, the last 1" in text
        assert f"asyncjobs show --queue=payments {job.id}" in unescape(text)


async def test_a_job_is_sent_again_with_changed_arguments_and_keeps_its_secrets(
    app: App, web: Any, charge: Any
) -> None:
    async with app:
        old = await charge.with_options(metadata={"by": "cron"}, priority="high").delay(1007, "4222", note="first")
        await _run(app)
        asked = await page(web, f"/again?id={old.id}&queue=payments")
        assert "4222" not in asked
        assert '"order": 1007' in unescape(asked)
        sent = await post(web, "/again", id=old.id, queue="payments", arguments='{"order": 7, "note": "second"}')
        assert (sent.status, sent.headers["location"].endswith("done=again")) == (303, True)
        [new] = (await app.search_jobs(state="ready")).jobs
        assert new.named_arguments == {"order": 7, "card": "4222", "note": "second"}
        assert (new.metadata, new.priority.label, new.queue) == ({"by": "cron"}, "high", "payments")
        await _run(app)
        assert (await app.find_job(new.id)).state.value == "completed"
        # The old job stays as it is.
        assert (await app.find_job(old.id)).state.value == "failed"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("{", 400),
        ("[1]", 400),
        ('{"order": "x"}', 400),
        ('{"other": 1}', 400),
        ('{"order": 1, "card": "‹secret›"}', 400),
    ],
)
async def test_arguments_that_do_not_fit_are_refused(
    app: App, web: Any, charge: Any, arguments: str, status: int
) -> None:
    async with app:
        old = await charge.delay(1007)
        await _run(app)
        assert (await post(web, "/again", id=old.id, queue="payments", arguments=arguments)).status == status
        assert (await app.queue_stats("payments")).size == 0


async def test_only_who_may_edit_and_see_values_sends_again(app: App, web: Any, charge: Any) -> None:
    async with app:
        old = await charge.delay(1007)
        await _run(app)
        assert (await post(web, "/again", "viewer", id=old.id, arguments="{}")).status == 403
        assert (await fetch(web, f"/again?id={old.id}", "GET", {"x-role": "viewer"})).status == 403
        assert (await post(web, "/again", id="unknown", arguments="{}")).status == 404


async def test_a_job_that_waits_gets_another_priority_or_starts_now(app: App, web: Any, charge: Any) -> None:
    async with app:
        job = await charge.schedule_in(3600, 7)
        assert "Run now" in await page(web, f"/jobs/{job.id}")
        await post(web, f"/jobs/{job.id}/edit", queue="payments", priority="critical")
        assert (await app.find_job(job.id)).priority.label == "critical"
        await post(web, f"/jobs/{job.id}/edit", queue="payments")
        assert (await app.find_job(job.id)).due_at_ms is None
        await _run(app)
        assert (await post(web, f"/jobs/{job.id}/edit", queue="payments")).status == 409


async def test_large_arguments_are_a_file_and_no_page(app: App, web: Any, charge: Any) -> None:
    async with app:
        note = "<script>alert(1)</script>" * 40_000
        job = await charge.with_options(job_id="a/large one".replace(" ", "-")).delay(7, note=note)
        at = f"/jobs/{quote(job.id, safe='')}?queue=payments"
        text = await page(web, at)
        assert len(text) < 60_000
        assert "Download them as text" in text
        reply = await fetch(web, f"{at}&download=arguments", "GET", {"x-role": "admin"})
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
        assert reply.headers["content-disposition"].startswith("attachment; ")
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.json["note"] == note
        assert (await fetch(web, f"{at}&download=arguments", "GET", {"x-role": "viewer"})).status == 403


async def test_links_lead_out_where_all_parts_of_them_are_known(app: App, web: Any, charge: Any) -> None:
    async with app:
        plain = await charge.delay(7)
        assert "traces.example.com" not in await page(web, f"/jobs/{plain.id}")
    template = {"logs": "https://logs.example.com/{queue}/{id}", "trace": "https://t.example.com/{trace_id}"}
    assert outward(template, {"id": "a/b?c&d", "queue": "x y"}) == [
        ("logs", "https://logs.example.com/x%20y/a%2Fb%3Fc%26d")
    ]


@pytest.mark.parametrize(
    "links",
    [
        "https://x",
        {"x": "javascript:alert(1)"},
        {"x": "https://{queue}.example.com/"},
        {"x": "https://example.com/{other}"},
        {"x": "https://example.com/{"},
        {"x": "/relative"},
        {1: "https://example.com"},
    ],
)
def test_links_that_lead_anywhere_are_refused(links: Any) -> None:
    with pytest.raises(ConfigurationError, match="links"):
        checked_links(links)


def details(**fields: Any) -> JobDetails:
    given: dict[str, Any] = {
        "id": "x",
        "name": "charge",
        "queue": "payments",
        "state": "failed",
        "priority": "normal",
        "tenant": None,
        "attempt": 3,
        "arguments": {},
        "metadata": {},
        "created_at": AT,
        "due_at": None,
        "started_at": None,
        "duration_ms": None,
        "worker": None,
        "finished_at": None,
        "result": None,
        "reason": None,
        "failures": 3,
        "deaths": 0,
        "errors": [],
    }
    return JobDetails(**{**given, **fields})


def an_error(attempt: int, began: float | None, ended: float) -> AttemptError:
    return AttemptError(
        attempt=attempt,
        started_at=None if began is None else after(began),
        at=after(ended),
        type="OSError",
        message="no",
        traceback="",
        worker=None,
    )


def test_a_timeline_has_waits_and_attempts_in_their_order() -> None:
    job = details(errors=[an_error(1, 3.1, 3.9), an_error(2, 4.9, 5.0), an_error(3, 8, 9)], finished_at=after(9))
    told = [(one.mark, one.wait_ms, one.ran_ms) for one in timeline(job)]
    assert told == [
        ("sent", None, None),
        ("failed", 3100.0, 800.0),
        ("failed", 1000.0, 100.0),
        ("failed", 3000.0, 1000.0),
        ("dead", None, None),
    ]


def test_a_timeline_tells_what_is_not_kept_and_what_comes() -> None:
    job = details(state="retrying", errors=[an_error(1, 1, 2), an_error(9, None, 50)], due_at=after(60), attempt=10)
    assert [one.mark for one in timeline(job)] == ["sent", "failed", "gap", "failed", "due"]
    assert timeline(job)[2].text == "7 attempts of which nothing is kept"
    # A sender's clock that is ahead makes no negative wait.
    ended = details(state="completed", started_at=after(-5), finished_at=after(1), duration_ms=6000.0)
    assert [(one.mark, one.wait_ms) for one in timeline(ended)] == [("sent", None), ("completed", None)]


TRACE = """\
Traceback (most recent call last):
  File "/srv/shop/pay.py", line 12, in charge
    connect()
  File "/srv/venv/lib/python3.12/site-packages/psycopg/connection.py", line 9, in connect
    raise error
  File "/srv/venv/lib/python3.12/site-packages/psycopg/generators.py", line 3, in _connect
    raise error
psycopg.OperationalError: refused
"""


def test_frames_of_packages_are_folded_and_no_line_is_lost() -> None:
    parts = parts_of(TRACE)
    assert [(part.is_own, part.frames) for part in parts] == [(True, 1), (False, 2), (True, 0)]
    assert "\n".join(part.text for part in parts) == TRACE.rstrip("\n")
    assert "pay.py" in parts[0].text
    foreign = TRACE.replace("/srv/shop/", "/usr/lib/python3.12/")
    assert [part.is_own for part in parts_of(foreign)] == [True]


@pytest.mark.parametrize("text", ["", "x", "\n\n", "  File", '  File "', "é" * 10])
def test_any_text_is_a_traceback(text: str) -> None:
    assert "\n".join(part.text for part in parts_of(text)) == text.rstrip("\n")


async def test_each_address_of_the_page_is_of_the_job(app: App, web: Any, charge: Any) -> None:
    async with app:
        job = await charge.with_options(job_id="odd/id?%").schedule_in(60, 7)
        text = await page(web, f"/jobs/{quote(job.id, safe='')}?queue=payments")
        actions = set(re.findall(r'action="([^"]*)"', text)) - {"/search", "/settings"}
        assert actions
        assert all(quote("odd/id?%", safe="") in one for one in actions)
