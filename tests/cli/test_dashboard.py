"""``asyncjobs dashboard`` and ``asyncjobs demo --dashboard``: real processes, asked over HTTP."""

from __future__ import annotations

import base64
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from asyncjobs.cli import main
from tests.cli.conftest import Command
from tests.waiting import SOON

PASSWORD = "ASYNCJOBS_DASHBOARD_PASSWORD"


def line_with(process: subprocess.Popen[str], text: str) -> str:
    """Return the next line that a process prints with ``text`` in it."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return line
    raise AssertionError(seen)


def ask(address: str, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    host, port = re.findall(r"//([^:/]+):(\d+)/", address)[0]
    connection = http.client.HTTPConnection(host, int(port), timeout=SOON)
    try:
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.msg, reply.read()
    finally:
        connection.close()


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()


@pytest.mark.parametrize("given", ["", "long enough"])
def test_the_dashboard_asks_for_a_password_that_was_given_or_is_printed(
    command: Command, redis_url: str, given: str
) -> None:
    command.environ[PASSWORD] = given
    process = command.start("dashboard", "shop:app", "--port", "0")
    [address] = re.findall(r"http://127\.0\.0\.1:\d+/", line_with(process, "http://"))
    said = line_with(process, "User admin")
    password = given or said.split("password ")[1].split()[0]
    assert given == "" or given not in said
    assert len(password) > 10
    assert ask(address, "/")[0] == 401
    assert ask(address, "/", Authorization=basic("wrong"))[0] == 401
    status, _, body = ask(address, "/", Authorization=basic(password))
    assert (status, b"shop:app" in body) == (200, True)
    status, _, body = ask(address, "/api/jobs/stats", Authorization=basic(password))
    assert (status, b'"queues"' in body) == (200, True)
    process.send_signal(signal.SIGINT)
    assert process.wait(SOON) == 130


def test_a_port_that_is_taken_is_one_line(
    redis_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["dashboard", "--url", redis_url, "--port", port]) == 2
    told = capsys.readouterr().err
    assert f"--port {port}" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("package", ["uvicorn", "starlette"])
@pytest.mark.parametrize("line", [["dashboard"], ["demo", "--dashboard"]])
def test_what_is_missing_is_named_with_what_to_install(command: Command, package: str, line: list[str]) -> None:
    (Path(command.folder) / f"{package}.py").write_text("raise ImportError('not here')")
    done = command.run(*line, PYTHONPATH=f"{command.folder}{os.pathsep}{os.getcwd()}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'asyncjobs-redis[" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_demo_is_seen_by_who_has_its_link_alone(command: Command) -> None:
    process = command.start("demo", "--dashboard")
    link = line_with(process, "?token=").strip()
    address, _, token = link.partition("?")
    assert ask(address, "/")[0] == 401
    assert ask(address, "/?token=wrong")[0] == 401
    status, headers, _ = ask(address, f"/?{token}")
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"].partition(";")[0]
    status, _, body = ask(address, "/", Cookie=cookie)
    assert (status, b"newsletter" in body) == (200, True)
    process.send_signal(signal.SIGINT)
    assert process.wait(SOON) in (0, 130)


def test_the_demo_says_how_to_go_on_and_has_no_dashboard_on_a_server(command: Command, redis_url: str) -> None:
    assert "asyncjobs demo --dashboard" in command.run("demo").stdout.splitlines()[-1]
    done = command.run("demo", "--dashboard", "--redis", redis_url)
    assert (done.returncode, "not allowed with" in done.stderr) == (2, True)


def test_the_command_line_starts_without_the_packages_of_the_dashboard() -> None:
    script = "import sys, asyncjobs.cli.main; print({'starlette', 'uvicorn', 'jinja2'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=SOON)
    assert done.stdout.strip() == "set()"
