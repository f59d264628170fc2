"""The log of a worker on the command line, in each form, and beside the log of the program itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asyncjobs import App
from tests.cli.conftest import Command
from tests.waiting import SOON, until_sync

CHATTY = """
import logging
from asyncjobs import App, Cancel, RetryPolicy, Snooze, current_job

app = App()
_log = logging.getLogger("chatty")

@app.job(retry=RetryPolicy(max_retries=0))
async def fail(text: str) -> None:
    _log.info("about to fail")
    raise LookupError(text)

@app.job
async def steer(text: str) -> None:
    if text == "snooze" :
        raise Snooze(3600)
    raise Cancel(text)

@app.job
def odd() -> None:
    _log.info("odd", extra={"set": {1}, "text": "a\\udc00", "number": 3})
"""

OWN = "import logging\nlogging.basicConfig(format='OWN %(message)s', level='INFO')\n"

CONFIG = """
version = 1
[filters.job]
"()" = "asyncjobs.JobFields"
[formatters.short]
format = "%(levelname)s %(job_name)s %(message)s"
defaults = { job_name = "-" }
[handlers.file]
class = "logging.FileHandler"
filename = "worker.log"
formatter = "short"
filters = ["job"]
[root]
level = "INFO"
handlers = ["file"]
"""


@pytest.fixture
def chatty(command: Command, redis_url: str) -> Command:
    """The command, with jobs that log and fail."""
    (command.folder / "chatty.py").write_text(CHATTY)
    return command


def _send(url: str, name: str, *arguments: object) -> str:
    app = App(url)

    @app.job(name="fail")
    async def fail(text: str) -> None: ...

    @app.job(name="steer")
    async def steer(text: str) -> None: ...

    @app.job(name="odd")
    async def odd() -> None: ...

    return app.registry.get(name).with_options(tenant="acme").delay_sync(*arguments).id


def _json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_record_of_a_job_names_it_also_those_of_the_program(chatty: Command, redis_url: str) -> None:
    job_id = _send(redis_url, "fail", "no such user")
    lines = chatty.run("worker", "chatty:app", "--burst").stderr.splitlines()
    [own] = [line for line in lines if "about to fail" in line]
    assert own.endswith(f"INFO chatty: about to fail [job={job_id} name=fail attempt=1 tenant=acme]")
    [failed] = [line for line in lines if "went to the dead letter queue" in line]
    assert failed.count(job_id) == 1


def test_json_is_one_object_a_record_with_job_and_exception(chatty: Command, redis_url: str) -> None:
    job_id = _send(redis_url, "fail", "no such user")
    records = _json_lines(chatty.run("worker", "chatty:app", "--burst", "--log-format", "json").stderr)
    job = {"job_id": job_id, "job_name": "fail", "queue": "default", "attempt": 1, "tenant": "acme"}
    [own] = [one for one in records if one["logger"] == "chatty"]
    assert own.items() >= {**job, "level": "INFO", "message": "about to fail"}.items()
    [failed] = [one for one in records if one["level"] == "ERROR"]
    assert failed.items() >= job.items()
    assert failed["exception"].splitlines()[-1] == "LookupError: no such user"
    # The frames of asyncjobs around the handler say nothing to who reads this.
    assert failed["exception"].count("File ") == 1


def test_what_json_can_not_write_costs_no_record(chatty: Command, redis_url: str) -> None:
    _send(redis_url, "odd")
    done = chatty.run("worker", "chatty:app", "--burst", "--log-format", "json")
    [own] = [one for one in _json_lines(done.stderr) if one["logger"] == "chatty"]
    assert (own["set"], own["text"], own["number"]) == ([1], "a\\udc00", 3)


@pytest.mark.parametrize(
    ("text", "told"),
    [("too late", "was cancelled at attempt 1: too late"), ("snooze", "at attempt 1 is to run again in 3600.0 s")],
)
def test_what_ends_without_a_failure_is_told_too(chatty: Command, redis_url: str, text: str, told: str) -> None:
    job_id = _send(redis_url, "steer", text)
    assert f"INFO asyncjobs.worker: job {job_id} (steer) {told}" in chatty.run("worker", "chatty:app", "--burst").stderr


def test_the_log_of_the_program_stays_unless_another_is_asked_for(chatty: Command, redis_url: str) -> None:
    (chatty.folder / "chatty.py").write_text(OWN + CHATTY)
    for options, has_own in (([], True), (["--log-format", "none"], True), (["--log-format", "json"], False)):
        _send(redis_url, "fail", "x")
        told = chatty.run("worker", "chatty:app", "--burst", *options).stderr
        assert ("OWN about to fail" in told) == has_own
        assert ("[job=" in told) is False


def test_a_file_may_configure_the_log(chatty: Command, redis_url: str) -> None:
    (chatty.folder / "log.toml").write_text(CONFIG)
    _send(redis_url, "fail", "x")
    done = chatty.run("worker", "chatty:app", "--burst", "--log-config", "log.toml")
    assert done.stderr == ""
    written = (chatty.folder / "worker.log").read_text()
    assert "INFO fail about to fail\n" in written


@pytest.mark.parametrize("content", [None, "= 1", "version = 1\n[root]\nhandlers = ['nowhere']\n"])
def test_a_file_that_configures_nothing_is_one_line(chatty: Command, content: str | None) -> None:
    if content is not None:
        (chatty.folder / "log.toml").write_text(content)
    done = chatty.run("worker", "chatty:app", "--burst", "--log-config", "log.toml")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "--log-config 'log.toml' can't be used" in done.stderr


def test_a_worker_that_stops_says_what_it_waits_for(command: Command, redis_url: str, tmp_path: Path) -> None:
    sender = App(redis_url)

    @sender.job
    async def hang(path: str) -> None: ...

    job_id = hang.delay_sync(str(tmp_path / "pid")).id
    command.environ["ASYNCJOBS_SHUTDOWN_TIMEOUT"] = "0.2"
    worker = command.start("worker", "shop:app")
    until_sync((tmp_path / "pid").exists, "the job runs")
    worker.terminate()
    assert f"the worker stops, and waits up to 0.2 s for 1 jobs: {job_id}" in worker.communicate(timeout=SOON)[0]
