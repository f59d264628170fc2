"""Apps to run workers for, on the memory broker and on a real server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from asyncjobs import App, job
from asyncjobs.ids import new_id


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def redis_url():
    return os.environ["T_REDIS"]


@pytest.fixture(params=["memory", "redis"])
def make_app(request: pytest.FixtureRequest) -> Iterator[Callable[..., App]]:
    """Make apps that share one broker: with ``memory``, the first app's."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        prefix = f"test{new_id()[-10:]}"
        yield lambda **settings: App(url, **{"prefix": prefix, "lease": 2, **settings})
        return
    shared: list[Any] = []

    def make(**settings: Any) -> App:
        app = App("memory://", **{"lease": 2, **settings}, broker=shared[0] if shared else None)
        shared[:] = [app._broker]
        return app

    yield make


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    """An app with a lease short enough to see what the heartbeat does."""
    return make_app()


@job
def doubled_text(text: str) -> str:
    """A library's job, of the default registry."""
    return text * 2


@pytest.fixture
def library_job() -> Any:
    """A job that belongs to no app."""
    return doubled_text
