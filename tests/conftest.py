"""Fixtures that all tests share: real servers, and the event loop's kind."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator

import pytest

from asyncjobs import App
from asyncjobs.brokers.memory import MemoryBroker
from asyncjobs.jobs import open_apps
from asyncjobs.jobs.ids import new_id
from asyncjobs.jobs.registry import default_registry
from tests.servers import LANES, Lane, Server, cluster, server

# A shell that runs the tests in the background lets them, and the programs that they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.faults.table"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """asyncio alone: it is what redis-py's client runs on."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_app_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test find its own apps alone: those that code without an event loop has opened stay open to the end."""
    monkeypatch.setattr(open_apps, "_open", [])


@pytest.fixture(autouse=True)
def _jobs_and_log_levels_are_of_one_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the jobs of no app that a test defines, such as those of the docs, and what a command does to the log."""
    for names in ("_jobs", "_origins"):
        monkeypatch.setattr(default_registry, names, dict(getattr(default_registry, names)))
    log = logging.getLogger("asyncjobs")
    level = log.level
    yield
    log.setLevel(level)


def lane_of(name: str) -> Lane:
    """Return the lane, or skip with the reason why it is absent."""
    lane = next(lane for lane in LANES if lane.name == name)
    if lane.binary is None:
        pytest.skip(f"lane {name}: {lane.absent}")
    return lane


@pytest.fixture(scope="session", params=[lane.name for lane in LANES])
def lane(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of each lane in turn."""
    with server(lane_of(request.param)) as running:
        yield running


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """One server that is always there, for tests that need no more than one kind."""
    with server() as running:
        yield running


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Server]]:
    """The nodes of a Cluster."""
    with cluster() as running:
        yield running


@pytest.fixture
def redis_url(redis_server: Server) -> str:
    """The URL of an empty server."""
    client = redis_server.client()
    client.flushall()
    client.close()
    return redis_server.url


@pytest.fixture(params=["memory", "redis"])
def make_app(request: pytest.FixtureRequest) -> Callable[..., App]:
    """Make apps that share one broker, in memory and on a server, with a lease short enough to see heartbeats."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        prefix = f"test{new_id()[-10:]}"
        return lambda **settings: App(url, **{"prefix": prefix, "lease": 2, **settings})
    broker = MemoryBroker()
    return lambda **settings: App("memory://", **{"lease": 2, **settings}, broker=broker)


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    """An app of ``make_app``."""
    return make_app()
