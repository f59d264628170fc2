"""``asyncjobs worker``: runs jobs."""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from asyncjobs.cli.command import Commands, add_code_arguments, add_command, port, size
from asyncjobs.cli.ending import ProcessEnd
from asyncjobs.cli.loading import load_code, named_app
from asyncjobs.cli.logs import add_log_options, set_up_log
from asyncjobs.cli.output import print_text
from asyncjobs.cli.reload import Reloader, source_folders, watching
from asyncjobs.cli.running import run
from asyncjobs.cli.supervisor import RECYCLED, Supervisor, die_with_supervisor, report_start, reporting
from asyncjobs.errors import ConfigurationError
from asyncjobs.worker.liveness.health import health_file
from asyncjobs.worker.liveness.probes import Probed, probe_server
from asyncjobs.worker.worker import Worker

__all__ = ["add_commands"]

_log = logging.getLogger("asyncjobs.worker")

_EXAMPLES = """\
examples:
  asyncjobs worker shop:app
  asyncjobs worker shop:app --queues critical,emails,default --concurrency 100
  asyncjobs worker shop:app --queues critical=5,default=1        (by weight)
  asyncjobs worker shop:app --processes 2
  asyncjobs worker shop:app --reload                             (starts anew when the code changes)
  asyncjobs worker shop:app --burst                              (ends when the queues are empty)

On SIGTERM, SIGHUP or Ctrl-C a worker claims no more jobs, lets handlers finish for shutdown_timeout, and gives the rest
back. A second signal cancels them at once, and a third one ends the process.
"""


# How the URL of --url gets into the processes of a supervisor.
_URL = "ASYNCJOBS_URL"


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "worker", "run jobs", _EXAMPLES, _worker)
    add_code_arguments(parser)
    parser.add_argument("--queues", help="names in strict order, or name=weight; by default all queues of its jobs")
    parser.add_argument("--concurrency", type=int, help="how many jobs each process runs at once (100)")
    parser.add_argument("--processes", type=int, help="how many worker processes (1, or WORKER_COUNT)")
    parser.add_argument("--burst", action="store_true", help="end when no job can start, or is left by a killed worker")
    parser.add_argument("--reload", action="store_true", help="for development: start anew when a Python file changes")
    parser.add_argument(
        "--max-jobs", metavar="N", type=int, help="end a process after N jobs; with --processes another one follows"
    )
    parser.add_argument(
        "--max-memory",
        metavar="SIZE",
        type=size,
        help="end a process that uses more memory, as in 512MiB; with --processes another one follows",
    )
    add_log_options(parser)
    parser.add_argument("--health-file", metavar="PATH", help="a file to write each second while the worker is ready")
    parser.add_argument(
        "--health-port", metavar="PORT", type=port, help="a port that answers the probes /livez and /readyz by HTTP"
    )
    parser.add_argument(
        "--health-host", metavar="HOST", default="127.0.0.1", help="the address of that port (127.0.0.1)"
    )
    parser.add_argument(
        "--start-timeout",
        metavar="SECONDS",
        type=float,
        default=60.0,
        help="how long to wait at the start for a broker that can't be reached (60)",
    )
    parser.add_argument("--report-health", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--supervised-by", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--url-of-supervisor", action="store_true", help=argparse.SUPPRESS)


def _worker(options: argparse.Namespace) -> int:
    if options.reload:
        return _reload(options)
    if options.url_of_supervisor:
        options.url = os.environ[_URL]
    app = load_code(options)
    # Behind the program's own, which it may have set up as it was loaded.
    set_up_log(options.log_level, options.log_format, options.log_config)
    if app.settings.server.scheme == "memory":
        raise ConfigurationError(
            "a worker on memory:// would get no jobs, since other processes can't send to that broker: name a server, "
            "as in --url redis://localhost:6379/0, or run the worker inside the program, by app.worker()"
        )
    # Made in the supervisor too, so that a wrong option ends the command before a process starts.
    worker = Worker(
        app,
        queues=_queues(options.queues),
        concurrency=options.concurrency,
        start_timeout=options.start_timeout,
        max_jobs=options.max_jobs,
        max_memory=options.max_memory,
    )
    processes = app.settings.worker_count if options.processes is None else options.processes
    _checked_count(processes)
    if options.supervised_by is not None:
        die_with_supervisor(options.supervised_by)
    elif processes > 1:
        if options.health_file is not None:
            raise ConfigurationError("--health-file is of one process; give --health-port, or --processes 1")
        supervisor = Supervisor(
            _child_arguments(options),
            processes,
            shutdown_timeout=app.settings.shutdown_timeout,
            ends_when_done=options.burst,
        )
        with contextlib.ExitStack() as stack:
            _answer_probes(stack, supervisor.health, options)
            return supervisor.run()
    end = ProcessEnd(worker, app.settings.shutdown_timeout)
    with end.watching():
        run(_run(worker, end, options))
    return RECYCLED if worker.ended_by and options.supervised_by is not None else 0


def _reload(options: argparse.Namespace) -> int:
    """Run the worker in processes that are replaced as the program's source changes, which is never loaded here."""
    set_up_log(options.log_level, options.log_format, options.log_config)
    if options.burst or options.health_file is not None:
        raise ConfigurationError("--reload runs the worker in another process: give no --burst and no --health-file")
    processes = 1 if options.processes is None else options.processes
    reloader = Reloader(_child_arguments(options), _checked_count(processes))
    folders = source_folders([named_app(options).partition(":")[0], *options.imports])
    with watching(reloader, folders), contextlib.ExitStack() as stack:
        _answer_probes(stack, reloader.health, options)
        return reloader.run()


def _checked_count(processes: int) -> int:
    if processes < 1:
        raise ConfigurationError(f"--processes {processes}: expected 1 or more")
    return processes


async def _run(worker: Worker, end: ProcessEnd, options: argparse.Namespace) -> None:
    # What the program has loaded stays to its end: for the garbage collector to look at all of it again and again takes
    # a twentieth of the time of a short job.
    gc.collect()
    gc.freeze()
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(end.running())
        _answer_probes(stack, worker.health, options)
        if options.report_health:
            stack.enter_context(reporting(worker.health))
        await _write_health(stack, worker, options)
        if not options.burst:
            await worker.run(signals=False, on_start=None if options.supervised_by is None else report_start)
            return
        ended = await worker.run_until_empty(signals=False)
    print_text(f"{ended} jobs ended in {', '.join(worker.queues)}")


def _answer_probes(
    stack: contextlib.ExitStack | contextlib.AsyncExitStack, health: Callable[[], Probed], options: argparse.Namespace
) -> None:
    """Answer probes on the health port, if one is asked for, until ``stack`` is left."""
    if options.health_port is None:
        return
    host, asked = options.health_host, options.health_port
    try:
        had = stack.enter_context(probe_server(health, asked, host))
    except OSError as error:
        raise ConfigurationError(
            f"--health-port {asked} can't be opened on {host!r} ({_reason(error)}): choose another one, or another "
            "--health-host"
        ) from None
    _log.info("/livez and /readyz are on port %s of %s", had, host)


async def _write_health(stack: contextlib.AsyncExitStack, worker: Worker, options: argparse.Namespace) -> None:
    """Keep the health file, if one is asked for, until ``stack`` is left."""
    if options.health_file is None:
        return
    try:
        await stack.enter_async_context(health_file(worker.health, Path(options.health_file)))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"--health-file {options.health_file!r} can't be written ({_reason(error)}): expected a file, no symbolic "
            "link, in a folder that exists"
        ) from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _queues(text: str | None) -> Sequence[str] | Mapping[str, float] | None:
    """Return the queues in strict order, or with their weights; ``None`` for all queues of the app's jobs."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigurationError(f"--queues {text!r}: expected names separated by commas")
    if not any("=" in name for name in names):
        return names
    weights: dict[str, float] = {}
    for name in names:
        queue, _, weight = name.partition("=")
        try:
            weights[queue] = float(weight)
        except ValueError:
            raise ConfigurationError(
                f"--queues {text!r}: {name!r} has no weight; give each queue one, as in critical=5,default=1, or none"
            ) from None
    return weights


def _child_arguments(options: argparse.Namespace) -> list[str]:
    """Return the arguments of one worker process under a supervisor."""
    arguments = [
        "worker",
        "--app",
        named_app(options),
        "--processes",
        "1",
        "--log-level",
        options.log_level,
    ]
    arguments += ["--supervised-by", str(os.getpid()), "--start-timeout", str(options.start_timeout)]
    if options.health_port is not None:
        arguments.append("--report-health")
    if options.url is not None:
        # Not as an argument, which other users of the machine could read, with the password in it.
        os.environ[_URL] = options.url
        arguments.append("--url-of-supervisor")
    if options.queues is not None:
        arguments += ["--queues", options.queues]
    if options.concurrency is not None:
        arguments += ["--concurrency", str(options.concurrency)]
    if options.max_jobs is not None:
        arguments += ["--max-jobs", str(options.max_jobs)]
    if options.max_memory is not None:
        arguments += ["--max-memory", str(options.max_memory)]
    if options.log_format is not None:
        arguments += ["--log-format", options.log_format]
    if options.log_config is not None:
        arguments += ["--log-config", options.log_config]
    for name in options.imports:
        arguments += ["--import", name]
    return [*arguments, "--burst"] if options.burst else arguments
