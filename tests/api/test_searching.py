"""Search through the jobs of an app, and samples of its queues."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs import App, ArgumentsError, RetryPolicy, Worker, tenant_scope
from asyncjobs.app.verbs import search
from asyncjobs.core.search import needles_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def mail(app: App) -> Any:
    @app.job(name="shop.send_email", queue="bulk", retry=RetryPolicy(max_retries=0))
    async def mail(to: str, order: int = 0, **more: Any) -> None:
        raise LookupError(f"no mailbox {to}")

    return mail


async def _found(app: App, text: str | None = None, **which: Any) -> list[str]:
    """Return the ids of all that a search finds, page by page."""
    found: list[str] = []
    after = ""
    while True:
        page = await app.search_jobs(text, after=after, **which)
        found += [job.id for job in page.jobs]
        after = page.next
        if not after:
            return found


@pytest.mark.parametrize(
    "text",
    [
        "user7@example.com",
        "7@example.c",
        "Grüße",
        "1234567",
        "-5",
        "2.5",
        "300",
        "42",
        "18446744073709551615",
        "nested",
        "deep value",
        "in metadata",
        "job-of-mine",
    ],
)
async def test_a_job_is_found_by_what_stands_in_it(app: App, mail: Any, text: str) -> None:
    async with app:
        await app.enqueue_many([mail.request(f"user{number}@example.net", 10**9 + number) for number in range(20)])
        wanted = await mail.with_options(job_id="job-of-mine", metadata={"why": "in metadata"}).delay(
            "user7@example.com",
            42,
            numbers=[1234567, -5, 2.5, 300, 2**64 - 1],
            words={"nested": ["Grüße", "deep value"]},
        )
        assert await _found(app, text) == [wanted.id]
        assert await _found(app, text, state="ready", queue="bulk", name="shop.send_email") == [wanted.id]
        assert await _found(app, text, state="scheduled") == []


async def test_a_number_is_the_whole_argument_and_letters_are_as_they_are(app: App, mail: Any) -> None:
    async with app:
        await mail.delay("a@example.com", 4200)
        assert await _found(app, "42") == []
        assert await _found(app, "A@example.com") == []
        assert await _found(app, "a@example.com") != []


async def test_a_dead_job_is_found_by_its_error_beside_jobs_that_wait(app: App, mail: Any) -> None:
    async with app:
        dead = await mail.delay("gone@example.com")
        await Worker(app, queues=["bulk"]).run_until_empty()
        waits = await mail.delay("gone@example.com")
        assert await _found(app, "no mailbox") == [dead.id]
        assert await _found(app, "LookupError", state="failed") == [dead.id]
        assert await _found(app, "gone@") == [waits.id, dead.id]


async def test_a_search_ends_in_time_and_goes_on_where_it_was(
    app: App, mail: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MAX_LOOKED_AT", 10)
    async with app:
        handles = await app.enqueue_many([mail.request("x", number) for number in range(25)])
        later = await mail.schedule_in(60, "needle")
        first = await app.search_jobs("needle")
        assert (first.jobs, first.looked_at, first.total) == ([], 10, 26)
        second = await app.search_jobs("needle", after=first.next)
        assert (second.jobs, second.looked_at) == ([], 20)
        third = await app.search_jobs("needle", after=second.next)
        assert ([job.id for job in third.jobs], third.looked_at, third.next) == ([later.id], 26, "")
        assert await _found(app, limit=3) == [*(one.id for one in handles), later.id]


async def test_all_queues_are_listed_page_by_page_or_some_of_them(app: App, mail: Any) -> None:
    async with app:
        ids = {
            queue: (await mail.with_options(queue=queue, job_id=f"in-{queue}").delay("x")).id
            for queue in ("b", "a", "c")
        }
        assert await _found(app, limit=1) == [ids["a"], ids["b"], ids["c"]]
        assert await _found(app, queue=["c", "b"], limit=1) == [ids["b"], ids["c"]]
        assert await _found(app, queue=[]) == []


async def test_a_tenant_finds_its_own_jobs(app: App, mail: Any) -> None:
    async with app:
        await mail.with_options(tenant="globex").delay("x@example.com")
        own = await mail.with_options(tenant="acme").delay("x@example.com")
        with tenant_scope("acme"):
            assert await _found(app, "x@example.com") == [f"@acme:{own.id.rpartition(':')[2]}"]
        assert len(await _found(app, "x@example.com")) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"after": "!"},
        {"after": "é"},
        {"after": base64.urlsafe_b64encode(b'[0,"ready","bulk",""]').decode()},
        {"after": base64.urlsafe_b64encode(b'{"a":1}').decode()},
        {"after": 5},
        {"after": "A" * 40},
        {"state": "gone"},
        {"limit": 0},
        {"text": 5},
        {"name": b"x"},
        {"tenant": ""},
    ],
)
async def test_what_no_search_takes_is_refused(app: App, wrong: dict[str, Any]) -> None:
    async with app:
        with pytest.raises(ArgumentsError, match=next(iter(wrong))):
            await app.search_jobs(**wrong)


async def test_a_search_does_not_go_on_where_another_one_was(app: App, mail: Any) -> None:
    async with app:
        await app.enqueue_many([mail.request("x") for _ in range(5)])
        which: dict[str, Any] = {"name": mail.name, "state": "ready", "queue": "bulk"}
        found = await app.search_jobs("x", **which, limit=2)
        for other in (
            {"name": "other"},
            {"state": "running"},
            {"queue": ["bulk", "a"]},
            {"queue": None},
            {"tenant": "x"},
        ):
            with pytest.raises(ArgumentsError, match="to the same question"):
                await app.search_jobs("x", **{**which, **other}, after=found.next)
        with pytest.raises(ArgumentsError, match="to the same question"):
            await app.search_jobs("y", **which, after=found.next)
        # How many are wanted is no part of the question.
        assert len((await app.search_jobs("x", **{**which, "queue": ["bulk"]}, limit=9, after=found.next)).jobs) == 3


async def test_a_sample_tells_the_names_in_a_queue(app: App, mail: Any) -> None:
    @app.job(name="other", queue="bulk")
    async def other() -> None: ...

    async with app:
        await app.enqueue_many([mail.request("x") for _ in range(300)])
        await app.enqueue_many([other.request() for _ in range(100)])
        looked_at, names, tenants = await app.sample_queue("bulk", limit=100)
        assert 100 <= looked_at <= 120
        assert names["shop.send_email"] == 3 * names["other"]
        assert tenants == {}
        assert await app.sample_queue("bulk", "failed") == (0, {}, {})
        for wrong in ({"limit": 10_001}, {"limit": 0}, {"state": "gone"}):
            with pytest.raises(ArgumentsError):
                await app.sample_queue("bulk", **wrong)  # type: ignore[arg-type]


async def test_as_many_jobs_are_read_as_are_wanted(app: App, mail: Any) -> None:
    async with app:
        await app.enqueue_many([mail.request("x") for _ in range(30)])
        asked: list[int] = []
        broker = app._connection.broker
        page = broker.page

        async def counted(queue: str, place: Any, after: str, limit: int, *more: Any) -> Any:
            asked.append(limit)
            return await page(queue, place, after, limit, *more)

        broker.page = counted  # type: ignore[method-assign]
        assert len(await app.jobs("ready", limit=7)) == 7
        assert asked == [7]


@given(st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False)))
def test_a_number_is_looked_for_as_msgpack_writes_it(number: float) -> None:
    assert msgspec.msgpack.encode(number) in needles_of(repr(number))


@given(st.text())
def test_any_text_can_be_looked_for(text: str) -> None:
    for needle in needles_of(text.encode(errors="replace").decode()):
        assert isinstance(needle, bytes)


async def test_a_secret_argument_is_not_found(app: App) -> None:
    @app.job(secret=["card"])
    async def charge(card: str, note: str) -> None: ...

    async with app:
        job = await charge.delay("4111 1111", "first")
        assert await _found(app, "4111") == []
        assert await _found(app, "first") == [job.id]
