"""``asyncjobs worker``: runs jobs."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asyncjobs.cli.loading import import_module, load_app
from asyncjobs.cli.running import run
from asyncjobs.cli.supervisor import Supervisor, die_with_supervisor
from asyncjobs.errors import ConfigurationError
from asyncjobs.worker.liveness.health import health_file, health_server
from asyncjobs.worker.worker import Worker

__all__ = ["add_parser"]

_EXAMPLES = """\
examples:
  asyncjobs worker shop:app
  asyncjobs worker shop:app --queues critical,emails,default --concurrency 100
  asyncjobs worker shop:app --queues critical=5,default=1        (by weights)
  asyncjobs worker shop:app --processes 2
  asyncjobs worker shop:app --burst                              (ends when the queues are empty)

SIGTERM or Ctrl-C: claim no more, let handlers finish for shutdown_timeout, give the rest back. Twice: at once.
"""


def add_parser(commands: Any) -> None:
    """Add the command to ``commands``, an argparse subparsers object."""
    parser = commands.add_parser(
        "worker", help="run jobs", epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("app", help="module:app, where the App is")
    parser.add_argument("--queues", help="names in strict order, or name=weight; by default all that its jobs name")
    parser.add_argument("--concurrency", type=int, help="jobs at once in each process (100)")
    parser.add_argument("--processes", type=int, help="worker processes (1, or WORKER_COUNT)")
    parser.add_argument("--burst", action="store_true", help="end when nothing is startable any more")
    parser.add_argument("--import", dest="imports", action="append", default=[], help="a module that defines jobs")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    parser.add_argument("--health-file", metavar="PATH", help="written anew each second while the worker is healthy")
    parser.add_argument("--health-port", metavar="PORT", type=int, help="answers HTTP with 200 while healthy, else 503")
    parser.add_argument("--supervised-by", type=int, help=argparse.SUPPRESS)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    logging.basicConfig(
        level=options.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    app = load_app(options.app)
    for name in options.imports:
        import_module(name)
    queues = _queues(options.queues)
    # Made here too, so that a wrong option is told before anything starts.
    worker = Worker(app, queues=queues, concurrency=options.concurrency)
    processes = app.settings.worker_count if options.processes is None else options.processes
    if processes < 1:
        raise ConfigurationError(f"--processes {processes}: expected 1 or more")
    if options.supervised_by is not None:
        die_with_supervisor(options.supervised_by)
    elif processes > 1:
        if options.health_file is not None or options.health_port is not None:
            raise ConfigurationError("--health-file and --health-port are of one process; run --processes 1 with them")
        return Supervisor(_child_arguments(options), processes, ends_when_done=options.burst).run()
    return run(_work(worker, options))


async def _work(worker: Worker, options: argparse.Namespace) -> int:
    if not options.burst:
        async with contextlib.AsyncExitStack() as stack:
            if options.health_file is not None:
                await stack.enter_async_context(health_file(worker.health, Path(options.health_file)))
            if options.health_port is not None:
                await stack.enter_async_context(health_server(worker.health, options.health_port))
            await worker.run()
        return 0
    ended = await worker.run_until_empty()
    print(f"{ended} jobs ended; nothing is left to start in {', '.join(worker.queues)}")
    return 0


def _queues(text: str | None) -> Sequence[str] | Mapping[str, float] | None:
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
    arguments = ["worker", options.app, "--processes", "1", "--log-level", options.log_level]
    arguments += ["--supervised-by", str(os.getpid())]
    if options.queues is not None:
        arguments += ["--queues", options.queues]
    if options.concurrency is not None:
        arguments += ["--concurrency", str(options.concurrency)]
    for name in options.imports:
        arguments += ["--import", name]
    return [*arguments, "--burst"] if options.burst else arguments
