"""The command line as a user sees it: output, errors, exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from asyncjobs import App
from tests.cli.conftest import Command, Run
from tests.servers import Server, free_port, server
from tests.waiting import SOON, until_sync


@pytest.fixture
def app(redis_url: str) -> App:
    """The sender beside the worker."""
    app = App(redis_url, lease=1)

    @app.job
    async def note(path: str, text: str) -> str: ...

    @app.job
    async def hang(path: str) -> None: ...

    @app.job
    async def note_or_hang(path: str) -> str: ...

    return app


def send(app: App, name: str, *args: str) -> str:
    definition = app.registry.get(name)
    return definition.delay_sync(*args).id


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_help_and_version_explain_themselves(command: Command) -> None:
    helped = command.run("--help")
    assert (helped.returncode, "worker" in helped.stdout, "demo" in helped.stdout) == (0, True, True)
    assert "--queues critical,emails,default" in command.run("worker", "--help").stdout
    assert command.run("--version").stdout.startswith("asyncjobs 0.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["worker", "nowhere:app"], "there is no module 'nowhere'"),
        (["worker", "shop:ap"], "module 'shop' has no 'ap'. Did you mean 'app'"),
        (["worker", "shop:number"], "is a int, not an App. Its apps: app"),
        (["worker", "json"], "it has none"),
        (["worker", ":app"], "names no module"),
        (["worker", "shop:app", "--queues", "a b"], "queue='a b'"),
        (["worker", "shop:app", "--queues", "a=1,b"], "'b' has no weight"),
        (["worker", "shop:app", "--queues", "a=0"], "weights above 0"),
        (["worker", "shop:app", "--queues", "a,a"], "named twice"),
        (["worker", "shop:app", "--concurrency", "0"], "concurrency=0"),
        (["worker", "shop:app", "--processes", "0"], "--processes 0"),
        (["worker", "shop:app", "--import", "nowhere"], "there is no module 'nowhere'"),
        (["stats", "--url", "redsi://h"], "unknown scheme"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_a_message(run: Run, arguments: list[str], message: str) -> None:
    code, _, told = run(*arguments)
    assert code == 2
    assert message in told
    assert "Traceback" not in told
    assert len(told.splitlines()) <= 2


def test_an_error_inside_the_users_module_keeps_its_traceback(command: Command) -> None:
    (command.folder / "broken.py").write_text("import nothing_like_it\n")
    done = command.run("worker", "broken:app")
    assert done.returncode == 1
    assert "broken.py" in done.stderr
    assert "No module named 'nothing_like_it'" in done.stderr


def test_an_unreachable_redis_is_one_message_and_exit_code_1(command: Command) -> None:
    port = free_port()
    done = command.run("worker", "shop:app", "--start-timeout", "0", ASYNCJOBS_URL=f"redis://127.0.0.1:{port}")
    assert done.returncode == 1
    assert f"127.0.0.1:{port} can't be reached" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("requirepass", "secret", "refused the login"),
        ("maxmemory-policy", "allkeys-lru", "drops jobs when memory is short"),
        ("maxmemory-policy", "volatile-lru", "drops results, known ids and claims when memory is short"),
        ("maxmemory-policy", "volatile-ttl", "drops results, known ids and claims when memory is short"),
    ],
)
def test_a_redis_that_will_not_do_is_told_in_a_message(
    command: Command, setting: str, value: str, message: str
) -> None:
    with server() as unfit, contextlib.closing(unfit.client()) as client:
        client.config_set("maxmemory", "100mb")
        client.config_set(setting, value)
        done = command.run("worker", "shop:app", ASYNCJOBS_URL=unfit.url)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_redis_older_than_6_2_is_refused() -> None:
    from asyncjobs import BrokerRefused
    from asyncjobs.brokers.redis.connection import check_server
    from asyncjobs.core.server import Server

    with pytest.raises(BrokerRefused, match=r"is version 6.0.16; asyncjobs needs 6.2 or newer"):
        check_server(Server(), {"redis_version": "6.0.16"})


def test_burst_runs_what_is_there_and_ends(command: Command, app: App, tmp_path: Path) -> None:
    for number in range(20):
        send(app, "note", str(tmp_path / "notes"), f"note-{number}")
    done = command.run("worker", "shop:app", "--burst")
    assert (done.returncode, len(lines(tmp_path / "notes"))) == (0, 20)
    assert "20 jobs ended" in done.stdout


def test_a_worker_ends_with_0_on_sigterm_and_its_job_goes_back(command: Command, app: App, tmp_path: Path) -> None:
    command.environ["ASYNCJOBS_SHUTDOWN_TIMEOUT"] = "0.1"
    job_id = send(app, "hang", str(tmp_path / "hangs"))
    worker = command.start("worker", "shop:app")
    until_sync((tmp_path / "hangs").exists, "the handler runs")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(SOON) == 0
    job = app.sync.find_job(job_id)
    assert job is not None
    assert (job.state.value, job.attempt) == ("pending", 1)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_burst_ends_with_0_on_sigterm_and_its_job_goes_back(
    command: Command, app: App, tmp_path: Path, processes: str
) -> None:
    command.environ |= {"ASYNCJOBS_SHUTDOWN_TIMEOUT": "0.1", "ASYNCJOBS_POLL_INTERVAL": "60"}
    job_id = send(app, "hang", str(tmp_path / "hangs"))
    worker = command.start("worker", "shop:app", "--burst", "--processes", processes)
    until_sync((tmp_path / "hangs").exists, "the handler runs")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(SOON) == 0
    job = app.sync.find_job(job_id)
    assert job is not None
    assert (job.state.value, job.attempt) == ("pending", 1)


def test_a_burst_runs_what_a_killed_one_left(command: Command, app: App, tmp_path: Path) -> None:
    job_id = send(app, "note_or_hang", str(tmp_path / "hangs"))
    killed = command.start("worker", "shop:app", "--burst")
    until_sync((tmp_path / "hangs").exists, "the handler runs")
    killed.kill()
    assert "1 jobs ended" in command.run("worker", "shop:app", "--burst").stdout
    assert app.sync.result(app.handle(job_id), 1) == "second"


def test_a_second_signal_does_not_wait(command: Command, app: App, tmp_path: Path) -> None:
    command.environ["ASYNCJOBS_SHUTDOWN_TIMEOUT"] = "60"
    send(app, "hang", str(tmp_path / "hangs"))
    worker = command.start("worker", "shop:app")
    until_sync((tmp_path / "hangs").exists, "the handler runs")
    worker.send_signal(signal.SIGINT)
    # Two signals sent at once could be delivered as one.
    until_sync(lambda: all(one.status == "stopping" for one in app.sync.stats().workers), "the worker is stopping")
    worker.send_signal(signal.SIGINT)
    assert worker.wait(15) == 0


def test_a_killed_worker_process_is_replaced_and_none_outlives_the_supervisor(
    command: Command, app: App, tmp_path: Path
) -> None:
    supervisor = command.start("worker", "shop:app", "--processes", "2")
    until_sync(lambda: len(app.sync.stats().workers) == 2, "both workers are there")
    before = {worker.pid for worker in app.sync.stats().workers}
    os.kill(min(before), signal.SIGKILL)
    until_sync(lambda: {worker.pid for worker in app.sync.stats().workers} - before, "there is a new worker")
    job_id = send(app, "note", str(tmp_path / "notes"), "alive")
    assert app.sync.result(app.handle(job_id), SOON) == "alive"
    children = psutil.Process(supervisor.pid).children()
    assert len(children) == 2
    supervisor.kill()
    assert psutil.wait_procs(children, SOON)[1] == []


def test_a_supervisor_passes_sigterm_on_and_ends_with_0(command: Command, app: App) -> None:
    supervisor = command.start("worker", "shop:app", "--processes", "2")
    until_sync(lambda: len(app.sync.stats().workers) == 2, "both workers are there")
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(SOON) == 0
    assert app.sync.stats().workers == []


def test_several_processes_in_a_burst_end_by_themselves(command: Command, app: App, tmp_path: Path) -> None:
    for number in range(20):
        send(app, "note", str(tmp_path / "notes"), f"note-{number}")
    assert command.run("worker", "shop:app", "--burst", "--processes", "2").returncode == 0
    assert len(lines(tmp_path / "notes")) == 20


def test_a_worker_runs_without_the_extras(command: Command) -> None:
    program = (
        "import sys; sys.modules.update(rich=None, uvloop=None, pydantic=None)\n"
        "from asyncjobs.cli import main; sys.exit(main(['worker', 'shop:app', '--burst']))"
    )
    done = command.run_code(program)
    assert done.returncode == 0, done.stderr


def test_a_worker_imports_nothing_large_that_it_does_not_use(command: Command) -> None:
    # Some 2.5 MiB of each process. The client of Redis imports what it needs before.
    large = ["anyio", "asyncjobs.admin", "asyncjobs.testing", "difflib", "http.client", "importlib.resources"]
    large += ["logging.config", "tomllib", "zoneinfo"]
    large += [f"asyncjobs.cli.{name}" for name in ("dead", "demo", "doctor", "top")]
    program = (
        "import sys, redis.asyncio\n"
        "before = set(sys.modules)\n"
        "from asyncjobs.cli import main\n"
        "main(['worker', 'shop:app', '--burst'])\n"
        f"print('large:', *sorted({{*{large}}} & (sys.modules.keys() - before)))"
    )
    done = command.run_code(program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "large:"


def test_stats_are_plain_lines_in_a_pipe_and_json_on_demand(command: Command, app: App, tmp_path: Path) -> None:
    send(app, "note", str(tmp_path / "notes"), "x")
    command.run("worker", "shop:app", "--burst")
    plain = command.run("stats")
    assert plain.returncode == 0
    assert "default" in plain.stdout
    assert "\x1b" not in plain.stdout
    figures = json.loads(command.run("stats", "shop:app", "--json").stdout)
    assert (figures["total_succeeded"], figures["queues"][0]["queue_name"]) == (1, "default")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--health-port", "99999"], "argument --health-port: '99999': expected a port from 0 to 65535"),
        (["--health-port", "-1"], "argument --health-port: '-1': expected a port"),
        (["--health-port", "0", "--health-host", "no such host"], "--health-host"),
        (["--health-file", "missing/health"], "--health-file 'missing/health' can't be written (No such file"),
        (["--health-file", "shop.link"], "--health-file 'shop.link' can't be written"),
        (["--health-file", "."], "--health-file '.' can't be written (Is a directory)"),
        (["--health-port", "{taken}"], "in use"),
    ],
)
@pytest.mark.parametrize("burst", [[], ["--burst"]])
def test_a_probe_that_can_not_be_had_ends_the_worker_with_the_reason(
    run: Run, tmp_path: Path, options: list[str], message: str, burst: list[str]
) -> None:
    (tmp_path / "shop.link").symlink_to(tmp_path / "shop.py")
    before = (tmp_path / "shop.py").read_text()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = [option.replace("{taken}", str(taken.getsockname()[1])) for option in options]
        code, _, told = run("worker", "shop:app", *options, *burst)
    assert (code, message in told) == (2, True), told
    assert "Traceback" not in told
    assert (tmp_path / "shop.py").read_text() == before


def test_the_health_port_is_for_this_machine_unless_an_address_is_given(command: Command) -> None:
    port = free_port()
    worker = psutil.Process(command.start("worker", "shop:app", "--health-port", str(port)).pid)

    def addresses() -> list[str]:
        return [one.laddr.ip for one in worker.net_connections() if one.status == psutil.CONN_LISTEN]

    until_sync(addresses, "the worker listens")
    assert addresses() == ["127.0.0.1"]


def test_the_demo_shows_every_state_and_the_dead_letter_in_plain_lines(command: Command) -> None:
    done = command.run("demo")
    assert done.returncode == 0, done.stderr
    for word in ("pending", "running", "retrying", "completed", "failed", "Dead letter queue", "the bank refuses"):
        assert word in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_the_demo_does_the_same_on_a_server(command: Command, redis_url: str) -> None:
    done = command.run("demo", "--redis", redis_url)
    assert done.returncode == 0, done.stderr
    assert "the bank refuses" in done.stdout


def test_the_demo_shows_the_password_of_its_url_to_nobody(
    command: Command, redis_server: Server, redis_url: str
) -> None:
    with contextlib.closing(redis_server.client()) as client:
        client.acl_setuser(
            "demo", enabled=True, passwords=["+hunter2/x"], keys=["*"], channels=["*"], commands=["+@all"]
        )
        demo = command.start("demo", "--redis", redis_url.replace("://", "://demo:hunter2%2Fx@"))
        seen: list[list[str]] = []

        def worker_is_seen() -> bool:
            seen.extend(one.cmdline() for one in psutil.Process(demo.pid).children())
            return any("--as-worker-of" in arguments for arguments in seen)

        until_sync(worker_is_seen, "the worker of the demo runs")
        printed, _ = demo.communicate(timeout=40)
        client.acl_deluser("demo")
    assert (demo.returncode, "hunter2" in f"{seen}") == (0, False)
    assert "hunter2" not in printed
    assert redis_url in printed


def test_the_demo_draws_a_table_on_a_terminal(command: Command) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "asyncjobs", "demo"],
        stdout=follower,
        stderr=follower,
        stdin=subprocess.DEVNULL,
        env={**command.environ, "TERM": "xterm-256color", "COLUMNS": "120"},
    )
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):
        while data := os.read(leader, 65_536):
            shown += data
    os.close(leader)
    assert process.wait(30) == 0
    assert b"\x1b[" in shown
    assert "┃".encode() in shown
