"""A secret argument is seen by its handler, and nowhere else."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any, NewType

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel, field_validator
from typing_extensions import TypeAliasType

from asyncjobs import App, ArgumentsError, JobFailed, RetryPolicy, Secret, Worker
from asyncjobs.admin import admin_api, dashboard
from asyncjobs.cli import main
from asyncjobs.core.view import SECRET, job_details
from asyncjobs.jobs.definition import signature_of
from asyncjobs.jobs.secret import is_secret
from asyncjobs.middleware import Logging
from asyncjobs.telemetry import Tracing
from tests.admin.test_api import role_of
from tests.security.keys import CARD
from tests.waiting import SOON
from tests.web import fetch

pytestmark = pytest.mark.anyio


class Payment(BaseModel):
    card: str

    @field_validator("card")
    @classmethod
    def whole(cls, value: str) -> str:
        if value.endswith("?"):
            raise ValueError(f"{value} is no card")
        return value


def job_of(app: App, spelling: str) -> Any:
    """Define a job with a secret argument, in one of the two ways."""
    if spelling == "annotation":

        @app.job(name="charge", retry=RetryPolicy(max_retries=0))
        async def charge(order: int, card: Secret[str], *, payment: Secret[Payment] | None = None) -> int:
            assert type(card) is str
            if order > 1:
                raise LookupError(f"no order {order}")
            return len(card)

        return charge

    @app.job(name="charge", retry=RetryPolicy(max_retries=0), secret=["card", "payment"])
    async def charge_too(order: int, card: str, *, payment: Payment | None = None) -> int:
        if order > 1:
            raise LookupError(f"no order {order}")
        return len(card)

    return charge_too


async def _body(web: Any, at: str) -> str:
    reply = await fetch(web, at, headers={"x-role": "admin"})
    assert reply.status == 200, at
    return str(reply.body.decode())


@pytest.mark.parametrize("spelling", ["annotation", "names"])
async def test_a_secret_is_nowhere_to_be_seen_on_the_way_of_its_job(
    make_app: Callable[..., App], spelling: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    app = make_app(middleware=[Tracing(provider), Logging()])
    charge = job_of(app, spelling)
    seen: list[str] = []
    shop, api = dashboard(app, authorize=role_of), admin_api(app, authorize=role_of)
    async with app:
        request = charge.request(1, CARD, payment=Payment(card=CARD))
        done = await charge.delay(1, CARD)
        dead = await charge.delay(2, CARD, payment=Payment(card=CARD))
        await app.add_schedule("nightly", charge.request(3, CARD), every=3600)
        await Worker(app).run_until_empty(signals=False)
        assert await done.result(SOON) == len(CARD)
        with pytest.raises(JobFailed) as failed:
            await dead.result(SOON)
        seen += [repr(request), repr(done), *traceback.format_exception(failed.value)]
        for handle in (done, dead):
            job = await app.find_job(handle.id)
            assert job.named_arguments["card"] == CARD
            seen += [repr(job), str(job)]
            for web, at in ((shop, f"/jobs/{handle.id}"), (api, f"/jobs/{handle.id}")):
                seen.append(await _body(web, f"{at}?queue=default"))
        seen += [repr(await app.schedules()), repr(await app.failed_groups()), repr(await app.job_history("charge", 9))]
        seen.append(repr(await app.audit()))
        for at in ("/jobs", "/dead", "/schedules", "/audit"):
            seen.append(await _body(shop, at))
        for at in ("/jobs/failed", "/jobs", "/schedules"):
            seen.append(await _body(api, at))
    seen += [span.to_json() for span in spans.get_finished_spans()]
    seen += [record.getMessage() + repr(vars(record)) for record in caplog.records]
    out, err = capfd.readouterr()
    text = "\n".join((*seen, out, err))
    assert "no order 2" in text
    assert SECRET in text
    assert CARD not in text


async def test_the_command_line_shows_no_secret(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = App(redis_url)
    charge = job_of(app, "annotation")
    async with app, app.worker(queues=["nobody-sends-here"]):
        handle = await charge.delay(1, CARD)
    monkeypatch.setenv("ASYNCJOBS_URL", redis_url)
    from anyio import to_thread

    for command in (["show", handle.id], ["show", handle.id, "--json"], ["jobs", "ready"], ["why", handle.id]):
        assert await to_thread.run_sync(main, command) == 0
    out = capsys.readouterr().out
    assert SECRET in out
    assert CARD not in out


@pytest.mark.parametrize("spelling", ["annotation", "names"])
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("one", CARD), {}),
        ((1, [CARD]), {}),
        ((1, {CARD}), {}),
        ((1, CARD), {"payment": {"card": f"{CARD}?"}}),
        ((1, CARD), {"payment": [CARD]}),
        ((1, object()), {}),
    ],
    ids=["another argument", "list", "set", "validator", "no model", "unencodable"],
)
async def test_an_error_of_the_call_tells_no_secret(
    app: App, spelling: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    charge = job_of(app, spelling)
    with pytest.raises(ArgumentsError, match=r"charge\(\)") as caught:
        charge.request(*args, **kwargs)
    assert CARD not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("spelling", ["annotation", "names"])
async def test_arguments_that_no_longer_fit_tell_no_secret(
    app: App, make_app: Callable[..., App], spelling: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = make_app()

    @before.job(name="charge")
    async def charge(order: int, card: str, *, payment: dict[str, str]) -> None: ...

    job_of(app, spelling)
    async with before, app:
        handle = await charge.delay(1, CARD, payment={"card": f"{CARD}?"})
        await Worker(app).run_until_empty(signals=False)
        [error] = (await app.find_job(handle.id)).errors
        assert "the stored arguments do not fit" in error.message
        assert CARD not in f"{error}{caplog.text}"


def test_the_annotation_counts_wherever_it_stands(app: App) -> None:
    @app.job
    async def note(
        first: int,
        second: Secret[str] | None = None,
        *rest: Secret[int],
        last: list[Secret[str]],
        **others: Secret[str],
    ) -> None: ...

    assert signature_of(note).secret == {"second", "rest", "last", "others"}
    with pytest.raises(ArgumentsError) as caught:
        note.request(1, "a", 2, CARD, last=[])  # type: ignore[arg-type]
    assert CARD not in str(caught.value)
    with pytest.raises(ArgumentsError) as caught:
        note.request(1, last=[], more=[CARD])  # type: ignore[arg-type]
    assert CARD not in str(caught.value)


Pin = NewType("Pin", Secret[str])  # type: ignore[valid-newtype]  # as of a program that is checked by nobody


def test_a_type_that_is_named_is_as_secret_as_what_it_stands_for() -> None:
    assert is_secret(Pin)
    assert is_secret(TypeAliasType("Card", Secret[str]))
    assert is_secret(list[TypeAliasType("Card", Secret[str])])  # type: ignore[misc]
    assert not is_secret(TypeAliasType("Plain", list[str]))


async def test_secrets_are_masked_where_an_annotation_can_not_be_resolved_but_a_worker_knows_the_job(
    make_app: Callable[..., App],
) -> None:
    working, blind = make_app(), make_app()

    @working.job(name="pay", secret=["card"])
    async def pay(order: int, card: str) -> None: ...

    @blind.job(name="pay", secret=["card"])
    async def pay_blind(order: int, card: "OnlyForCheckers") -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037

    async with working, blind:
        async with working.worker():
            handle = await pay.delay(1, CARD)
            await handle.result(timeout=SOON)
        found = await blind.find_job(handle.id)
        assert found.secret == ("card",)
        assert found.named_arguments["order"] == 1
        assert CARD not in repr(job_details(found))
