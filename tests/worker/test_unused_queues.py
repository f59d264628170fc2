"""A worker says which of its queues may be misspelt: no job of its program names them, and nothing was sent to them."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from asyncjobs import App
from asyncjobs.jobs.registry import default_registry
from tests.waiting import SOON

pytestmark = pytest.mark.anyio


def shop(make_app: Callable[..., App]) -> App:
    app = make_app()

    @app.job(queue="emails")
    async def send_email(to: str) -> str:
        return to

    return app


async def said_by_a_worker(app: App, caplog: pytest.LogCaptureFixture, *queues: str) -> list[str]:
    """Return what a worker of ``app``, which is open, warns of as it starts."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, "asyncjobs"):
        async with app.worker(queues=list(queues) or None):
            pass
    return [record.getMessage() for record in caplog.records]


async def test_a_queue_that_nothing_uses_is_named_with_the_one_that_may_be_meant(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    async with shop(make_app) as app:
        [said] = await said_by_a_worker(app, caplog, "emials", "emails")
    assert said == (
        "the worker serves the queue 'emials', which no job of this program names, and which nothing was sent to. "
        "Did you mean 'emails'?"
    )


async def test_a_queue_of_the_programs_jobs_is_no_surprise(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    async with shop(make_app) as app:
        assert not await said_by_a_worker(app, caplog)
        assert not await said_by_a_worker(app, caplog, "emails")


async def test_a_queue_that_jobs_were_sent_to_is_no_surprise(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    async with shop(make_app) as app:
        handle = await app.registry.get("send_email").with_options(queue="bulk").delay("ada@example.com")
        assert not await said_by_a_worker(app, caplog, "bulk")
        async with app.worker(queues=["bulk"]):
            assert await handle.result(SOON) == "ada@example.com"
        assert not await said_by_a_worker(app, caplog, "bulk")


async def test_a_program_without_jobs_is_told_nothing(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(default_registry, "_jobs", {})
    async with make_app() as app:
        assert not await said_by_a_worker(app, caplog, "emials")
