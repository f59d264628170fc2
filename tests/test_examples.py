"""The examples do what they say, on a real server and without one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from types import ModuleType
from typing import Any

import msgspec
import pytest

from tests.examples import EXAMPLES, WITHIN_S, environment, run_example
from tests.waiting import SOON


def test_quickstart_completes_ten_thousand_jobs_in_memory() -> None:
    ended = run_example("quickstart.py", "memory://")

    assert ended.returncode == 0, ended.stderr
    assert "completed 10,000 jobs, failed 0, counted by memory://" in ended.stdout


def test_quickstart_completes_ten_thousand_jobs_on_a_server_again_and_again(redis_url: str) -> None:
    first = run_example("quickstart.py", redis_url)
    second = run_example("quickstart.py", ASYNCJOBS_URL=redis_url)

    for ended in (first, second):
        assert ended.returncode == 0, ended.stderr
        assert f"completed 10,000 jobs, failed 0, counted by {redis_url}" in ended.stdout


def test_quickstart_tells_of_an_unreachable_server_without_a_traceback() -> None:
    ended = run_example("quickstart.py", "redis://127.0.0.1:1/0")

    assert ended.returncode == 1
    assert "can't be reached" in ended.stderr
    assert len(ended.stderr.splitlines()) <= 2


def test_the_shop_gets_its_results_from_a_worker_of_the_command_line(redis_url: str) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "asyncjobs", "worker", "shop:app"],
        cwd=EXAMPLES,
        env=environment(ASYNCJOBS_URL=redis_url),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        ended = run_example("shop.py", ASYNCJOBS_URL=redis_url)
    finally:
        worker.terminate()
        _, log = worker.communicate(timeout=WITHIN_S)

    assert ended.returncode == 0, ended.stderr + log
    assert "sent to user@example.com at attempt 1" in ended.stdout
    assert "cat.png at 640 px" in ended.stdout
    assert "the report is pending; cancelled: True" in ended.stdout
    assert worker.returncode == 0, log


def test_schedules_fire_in_the_example() -> None:
    ended = run_example("schedules.py")

    assert ended.returncode == 0, ended.stderr
    assert "the report of acme, by report-acme" in ended.stdout
    assert ended.stdout.count("heartbeat for") >= 2
    assert "rates of EUR refreshed" in ended.stdout
    assert "left: refresh_rates, send_digest" in ended.stdout


def test_a_reader_that_comes_back_sees_each_event_of_the_example_once() -> None:
    ended = run_example("progress.py")

    assert ended.returncode == 0, ended.stderr
    numbers = [int(line.partition(" ")[0]) for line in ended.stdout.splitlines() if "(attempt" in line]
    assert numbers == list(range(1, 9))
    assert "/reports/acme.pdf" in ended.stdout


def test_what_a_failed_job_of_the_example_has_written_is_undone() -> None:
    ended = run_example("resources.py")

    assert ended.returncode == 0, ended.stderr
    assert "failed with sqlite3.IntegrityError" in ended.stdout
    assert ended.stdout.count("pay took") == 2
    assert "payments: [(1, 500), (2, 250)]" in ended.stdout


def test_the_arguments_of_the_example_arrive_or_are_refused() -> None:
    ended = run_example("arguments.py")

    assert ended.returncode == 0, ended.stderr
    assert "order by id: 19.99 EUR by Card" in ended.stdout
    assert "order number 7: 5.00 USD by Transfer" in ended.stdout
    assert "fees: 0.19 EUR, 0.05 USD" in ended.stdout
    assert "/srv/log.txt of 10.0.0.1" in ended.stdout
    assert "login.password is a SecretStr" in ended.stdout


async def call(web: Any, method: str, path: str, query: str = "") -> tuple[int, Any]:
    """Ask an ASGI app, and return status and decoded body."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [],
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await web(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], msgspec.json.decode(body)


@pytest.fixture
def fastapi_app(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module `fastapi_app`, with a worker in the web process, on a broker in memory."""
    pytest.importorskip("fastapi")
    monkeypatch.setenv("ASYNCJOBS_URL", "memory://")
    monkeypatch.setenv("WORKER_INSIDE", "1")
    spec = importlib.util.spec_from_file_location("fastapi_app", EXAMPLES / "fastapi_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.anyio
async def test_a_web_request_sends_a_job_that_the_worker_inside_completes(fastapi_app: ModuleType) -> None:
    web, app = fastapi_app.web, fastapi_app.app

    async with web.router.lifespan_context(web):
        accepted, answer = await call(web, "POST", "/signups", "address=ada@example.com")
        await app.handle(answer["job"], queue="emails").result(SOON)
        found, state = await call(web, "GET", f"/signups/{answer['job']}")
        unknown, _ = await call(web, "GET", "/signups/nobody")

    assert accepted == 202
    assert (found, state) == (200, {"state": "completed"})
    assert unknown == 404
