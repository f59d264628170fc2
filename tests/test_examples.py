"""The examples do what they say, on a real server and without one."""

from __future__ import annotations

import base64
import importlib.util
import subprocess
import sys
from types import ModuleType

import pytest

from tests.examples import EXAMPLES, WITHIN_S, environment, run_example
from tests.waiting import SOON
from tests.web import fetch


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


def test_the_load_tells_how_many_slots_are_wanted_in_the_example() -> None:
    ended = run_example("load.py")

    assert ended.returncode == 0, ended.stderr
    assert "no worker:   60 wait, 0 slots, 1 wanted" in ended.stdout
    assert "two workers: " in ended.stdout
    assert "thumbnail: 60 calls" in ended.stdout


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


@pytest.fixture
def fastapi_app(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module `fastapi_app`, with a worker in the web process, on a broker in memory."""
    monkeypatch.setenv("ASYNCJOBS_URL", "memory://")
    monkeypatch.setenv("WORKER_INSIDE", "1")
    return _load("fastapi_app")


@pytest.fixture
def admin_example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module `admin_api`, on a broker in memory."""
    monkeypatch.setenv("ASYNCJOBS_URL", "memory://")
    monkeypatch.setenv("ADMIN_PASSWORD", "s3cret")
    return _load("admin_api")


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.anyio
async def test_a_web_request_sends_a_job_that_the_worker_inside_completes(fastapi_app: ModuleType) -> None:
    web, app = fastapi_app.web, fastapi_app.app

    async with web.router.lifespan_context(web):
        accepted = await fetch(web, "/signups?address=ada@example.com", "POST")
        job_id = accepted.json["job"]
        await app.handle(job_id, queue="emails").result(SOON)
        found = await fetch(web, f"/signups/{job_id}")
        unknown = await fetch(web, "/signups/nobody")

    assert accepted.status == 202
    assert (found.status, found.json) == (200, {"state": "completed"})
    assert unknown.status == 404


@pytest.mark.anyio
async def test_the_admin_api_of_a_web_app_retries_a_dead_job(admin_example: ModuleType) -> None:
    web, app = admin_example.web, admin_example.app
    password = {"authorization": f"Basic {base64.b64encode(b'ops:s3cret').decode()}"}

    async with web.router.lifespan_context(web):
        job_id = (await fetch(web, "/orders/7", "POST")).json["job"]
        await app.cancel_job(job_id)
        assert (await fetch(web, "/api/admin/jobs/stats")).status == 401
        stats = await fetch(web, "/api/admin/jobs/stats", headers=password)
        retried = await fetch(web, f"/api/admin/jobs/{job_id}/retry", "POST", password)
        page = await fetch(web, "/admin/jobs/", headers=password)

    assert stats.json["queues"][0]["cancelled_total"] == 1
    assert (retried.status, "cancelled" in retried.json["detail"]) == (409, True)
    assert (page.status, b"payments" in page.body) == (200, True)


def test_many_calls_of_the_example_make_one_job() -> None:
    ended = run_example("unique_jobs.py")

    assert ended.returncode == 0, ended.stderr
    assert "5 calls, 1 job" in ended.stdout
    assert "billed already, by the job 01" in ended.stdout
    assert "document 42 says 'Hello'" in ended.stdout


def test_jobs_of_the_example_keep_to_limits_and_take_turns() -> None:
    ended = run_example("limits.py")

    assert ended.returncode == 0, ended.stderr
    assert "6000 cents, 4 at once, 1 of customer 3" in ended.stdout
    waited = int(ended.stdout.partition("customer 2 waited for ")[2].partition(" ")[0])
    assert waited < 50
    assert "number 5 is right\nrefused 1 time, and not failed" in ended.stdout
