"""Handlers in processes of a program that is a script, a module or a folder."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.waiting import SOON
from tests.worker.pools import runs, until_gone

pytestmark = pytest.mark.anyio

SCRIPT = """
    import asyncio, os, subprocess, sys, time
    sys.path.insert(0, {root!r})
    from asyncjobs import App, current_job
    from asyncjobs.core.record.envelope import Envelope
    from asyncjobs.worker.processes.child import emit
    from asyncjobs.worker.processes.pool import HandlerFailed, HandlerProcesses
    from tests.worker.pools import call_of

    app = App("memory://")

    class Own(Exception): ...

    @app.job
    def spin() -> None:
        program = subprocess.Popen(["sleep", "60"], start_new_session=True)
        emit(str(program.pid).encode())
        while True:
            pass

    @app.job
    def fail() -> None:
        raise Own(__name__)

    @app.job
    def sleep() -> None:
        time.sleep(0.2)

    async def main() -> None:
        pool = HandlerProcesses(2)
        try:
            await pool.run(call_of(fail), print)
        except HandlerFailed as error:
            print(error.type_name, error.message, error.kind is Own, flush=True)
        await asyncio.gather(*(pool.run(call_of(sleep), print) for _ in range(2)))
        if "close" in sys.argv:
            return await pool.close()
        told = asyncio.Queue()
        task = asyncio.create_task(pool.run(call_of(spin), told.put_nowait))
        print(*pool.pids, (await told.get()).decode(), flush=True)
        await asyncio.sleep(60)

    {start}
"""
#: The longest that a program and the processes which it starts may take, in seconds, on a busy machine too.
LONG_S = 3 * SOON
GUARDED = 'if __name__ == "__main__":\n        asyncio.run(main())'


def write_script(folder: Path, start: str) -> Path:
    script = folder / "program.py"
    root = str(Path(__file__).parents[2])
    script.write_text(textwrap.dedent(SCRIPT.format(root=root, start=start)))
    return script


async def test_processes_end_when_their_worker_is_killed(tmp_path: Path) -> None:
    script = write_script(tmp_path, GUARDED)
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:  # noqa: ASYNC220 - it is read at once
        assert worker.stdout is not None
        assert worker.stdout.readline() == "__main__.Own __mp_main__ True\n"
        pids = [int(pid) for pid in worker.stdout.readline().split()]
        assert len(pids) == 3
        assert all(map(runs, pids))
        worker.kill()
        # Of a process that is idle, one that spins, and one that this has started in a session of its own.
        for pid in pids:
            await until_gone(pid)


@pytest.mark.parametrize("command", [["program.py"], ["-m", "program"], ["."]], ids=["script", "module", "folder"])
async def test_handlers_of_the_main_module_are_found(tmp_path: Path, command: list[str]) -> None:
    write_script(tmp_path, GUARDED)
    (tmp_path / "__main__.py").write_text((tmp_path / "program.py").read_text())
    ended = subprocess.run(
        [sys.executable, "-W", "error", *command, "close"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LONG_S,
    )
    assert (ended.stdout, ended.stderr) == ("__main__.Own __mp_main__ True\n", "")


async def test_a_script_that_starts_a_worker_unguarded_is_told_so(tmp_path: Path) -> None:
    script = write_script(tmp_path, "asyncio.run(main())")
    ended = subprocess.run([sys.executable, script, "close"], capture_output=True, text=True, timeout=LONG_S)
    assert ended.stdout == (
        "asyncjobs.errors.DefinitionError "
        "the handler __main__.fail can't be run in a process: importing its module raised DefinitionError: a process "
        "that was started to run a handler imports the handler's script, and that starts a worker of its own; put what "
        'starts it under `if __name__ == "__main__":` False\n'
    )
