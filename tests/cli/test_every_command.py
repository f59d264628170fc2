"""Every command, as the parser has it: with wrong input, a closed pipe, no terminal, a server that is away."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import pytest

from asyncjobs import App
from asyncjobs.cli.main import make_parser
from tests.cli.conftest import SHOP, Command, Run
from tests.cli.lines import COMMANDS, HOSTILE, assert_safe, commands_of, options_of, sample

EVERY = pytest.mark.parametrize("command", list(COMMANDS))
# A demo that isn't misled runs for some seconds, and has no server; a dashboard doesn't end by itself;
# the health is that of a worker, which is not there.
EVERY_WITH_A_SERVER = pytest.mark.parametrize(
    "command", [name for name in COMMANDS if name not in ("demo", "dashboard", "health")]
)

# Some at once, since each option tells what it was given in one way; not what is so long that it is cut.
_SHORT = [kind for kind in HOSTILE if kind != "long"]
KINDS = [*(_SHORT[at : at + 5] for at in range(0, len(_SHORT), 5)), ["long"]]


@pytest.fixture
def away() -> Iterator[str]:
    """The URL of a port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"redis://:secret@127.0.0.1:{taken.getsockname()[1]}/0"


@pytest.fixture
def program(tmp_path: Path, redis_url: str) -> Command:
    """The command in processes of its own."""
    (tmp_path / "shop.py").write_text(SHOP)
    return Command(tmp_path, redis_url)


def _assert_short(told: str, most: int = 2) -> None:
    assert "Traceback" not in told
    assert "Exception ignored" not in told
    assert 1 <= len(told.splitlines()) <= most
    assert all(len(line) <= 2_000 for line in told.splitlines())
    assert_safe(told)


@EVERY_WITH_A_SERVER
def test_a_right_command_on_an_empty_server_is_no_error_of_usage(run: Run, command: str) -> None:
    code, out, error = run(*sample(command))
    # 1 where the job, queue or schedule that is named does not exist, 2 where a question can't be asked.
    assert code in (0, 1) or (code == 2 and "give --yes" in error)
    assert bool(error) == (code != 0)
    assert_safe(out + error)


@EVERY
def test_an_unknown_option_is_one_line_and_exit_code_2(run: Run, command: str) -> None:
    code, out, error = run(*sample(command), "--zzz")
    assert (code, out) == (2, "")
    _assert_short(error, 1)
    assert error.startswith(f"asyncjobs {command}: unrecognized arguments: --zzz; `asyncjobs {command} --help` ")


@EVERY
def test_the_parser_of_a_command_knows_it_without_all_others(command: str) -> None:
    known = commands_of(make_parser(command))
    assert command in known
    assert len(known) < len(COMMANDS)


def test_a_misspelt_option_has_its_closest_neighbour_named(run: Run) -> None:
    assert "Did you mean '--tenant'?" in run("purge", "--tennant", "acme", "--tenant", "acme")[2]


def test_an_app_where_it_must_be_an_option_has_the_option_named(run: Run) -> None:
    assert "Did you mean '--app shop:app'?" in run("purge", "shop:app")[2]
    assert "Did you mean" not in run("purge", "shop")[2]


def test_a_dashboard_without_its_packages_names_the_extra_that_has_them_all() -> None:
    code = "import sys; sys.modules['jinja2'] = None; from asyncjobs.cli import main; main(['dashboard'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install 'asyncjobs-redis[dashboard]'" in done.stderr
    _assert_short(done.stderr, 1)


@EVERY
def test_empty_text_and_text_that_is_no_utf_8_are_refused(run: Run, command: str) -> None:
    for option in options_of(command):
        for value in ("", "\udcff"):
            code, out, error = run(*sample(command), *option.option_strings[:1], value)
            assert (code, out) == (2, "")
            _assert_short(error, 1)


@EVERY
def test_a_number_that_is_none_is_refused(run: Run, command: str) -> None:
    numbers = [option for option in options_of(command) if option.type is not None]
    # Where a number is right, the job that is to be retried is not there all the same.
    done = (0, 1) if command == "retry" else (0,)
    for option in numbers:
        for value in ("x", "-1", "1.5", "9" * 5_000):
            code, out, error = run(*sample(command), *option.option_strings[:1], value)
            if code not in done:
                assert (code, out) == (2, "")
                _assert_short(error, 1)


@EVERY
@pytest.mark.parametrize("kinds", KINDS)
def test_what_is_given_is_told_without_its_control_characters(run: Run, command: str, kinds: Sequence[str]) -> None:
    for option in options_of(command):
        code, out, error = run(*sample(command), *option.option_strings[:1], "".join(HOSTILE[kind] for kind in kinds))
        assert code in (0, 1, 2)
        assert_safe(out + error)
        if code:
            # One line for each of several jobs.
            _assert_short(error, 2)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "health"])
def test_a_server_that_is_away_is_one_line_that_names_it(
    run: Run, away: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASYNCJOBS_URL", away)
    line = ["demo", "--redis", away] if command == "demo" else [*sample(command)]
    if any("--yes" in action.option_strings for action in COMMANDS[command]._actions):
        line.append("--yes")
    code, out, error = run(*line)
    assert (code, out) == (1, "")
    _assert_short(error)
    assert away.rpartition("@")[2].partition("/")[0] in error
    assert "secret" not in error


def _end(program: Command, line: list[str], script: str) -> tuple[int, str]:
    """Run a command line in a shell that does something to its streams; return the exit code and standard error."""
    done = subprocess.run(
        ["bash", "-c", script, "bash", sys.executable, "-m", "asyncjobs", *line],
        cwd=program.folder,
        env=program.environ,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=40,
    )
    return done.returncode, done.stderr


@EVERY_WITH_A_SERVER
def test_a_reader_that_has_gone_ends_a_command_quietly(run: Run, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its end raises if something is left that can't be written, as that of a process would.
    with _closed_pipe() as closed, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", closed)
        code, _, error = run(*sample(command))
    _assert_quiet(code, error)


@pytest.mark.parametrize("command", ["dashboard", "demo", "stats", "worker"])
def test_a_reader_that_has_gone_ends_a_process_quietly(program: Command, command: str) -> None:
    with _closed_pipe() as closed:
        done = subprocess.run(
            [sys.executable, "-m", "asyncjobs", *sample(command)],
            cwd=program.folder,
            env=program.environ,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=40,
        )
    _assert_quiet(done.returncode, done.stderr)


def _closed_pipe() -> TextIO:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def _assert_quiet(code: int, error: str) -> None:
    # What finds nothing to print has failed before it could notice.
    assert code in (141, 1, 2)
    if code == 141:
        assert error == ""
    else:
        _assert_short(error)


@EVERY_WITH_A_SERVER
def test_without_any_stream_a_command_ends_with_its_code(
    run: Run, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(*sample(command))[0]
    with monkeypatch.context() as patched:
        # What Python has in their place where they are closed at its start.
        for stream in ("stdin", "stdout", "stderr"):
            patched.setattr(sys, stream, None)
        assert run(*sample(command))[0] == expected


@pytest.mark.parametrize(("command", "expected"), [("stats", 0), ("worker", 0), ("show", 1)])
def test_without_any_stream_a_process_ends_with_its_code(program: Command, command: str, expected: int) -> None:
    assert _end(program, sample(command), '"$@" <&- >&- 2>&-') == (expected, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_read_enough_ends_a_long_list(program: Command, unbuffered: str) -> None:
    app = App(program.environ["ASYNCJOBS_URL"])

    @app.job
    async def work(number: int) -> None: ...

    app.sync.enqueue_many([work.request(number) for number in range(3_000)])
    program.environ["PYTHONUNBUFFERED"] = unbuffered
    for line in (["jobs", "--limit", "3000"], ["jobs", "--limit", "3000", "--json"]):
        script = '"$@" | head -n 2 > /dev/null; exit ${PIPESTATUS[0]}'
        assert _end(program, line, script) == (141, "")


def test_a_full_disk_is_one_line_and_exit_code_1(program: Command) -> None:
    code, error = _end(program, ["stats"], '"$@" > /dev/full')
    assert (code, error) == (1, "asyncjobs: the output can't be written: No space left on device\n")


def test_a_pipe_that_takes_errors_too_may_be_closed(program: Command) -> None:
    script = 'set -o pipefail; "$@" 2>&1 | true'
    assert _end(program, ["stats", "--url", "redsi://"], script) == (2, "")


def test_an_encoding_without_the_characters_gets_escapes(program: Command) -> None:
    app = App(program.environ["ASYNCJOBS_URL"])

    @app.job(name="größe")
    async def work() -> None: ...

    work.delay_sync()
    done = program.run("jobs", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert r"gr\xf6\xdfe" in done.stdout
