"""``asyncjobs check``: says in CI which queued jobs the new code could not run."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from asyncjobs.app.deploy_check import Problem, check_jobs
from asyncjobs.cli.loading import import_module, load_app
from asyncjobs.cli.running import run
from asyncjobs.cli.tables import Table, show

__all__ = ["add_parser"]

_EXAMPLES = """\
examples:
  asyncjobs check shop:app                          (against the broker that the app names)
  ASYNCJOBS_URL=redis://production/0 asyncjobs check shop:app

0: every job that waits or runs, and every schedule, can be run by this code. 1: some can't; they are listed.
"""


def add_parser(commands: Any) -> None:
    """Add the command to ``commands``, an argparse subparsers object."""
    parser = commands.add_parser(
        "check",
        help="list queued jobs that this code could not run",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("app", help="module:app, where the App is")
    parser.add_argument("--import", dest="imports", action="append", default=[], help="a module that defines jobs")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    app = load_app(options.app)
    for name in options.imports:
        import_module(name)

    async def check() -> tuple[list[Problem], int]:
        async with app:
            return await check_jobs(app)

    problems, looked_at = run(check())
    if options.json:
        told = {"looked_at": looked_at, "problems": problems}
        print(msgspec.json.format(msgspec.json.encode(told)).decode())
    elif problems:
        rows = [[one.queue, one.name or "?", str(one.count), one.example, one.reason] for one in problems]
        show(Table("Jobs that this code could not run", ["queue", "job", "count", "example", "why"], rows))
    else:
        print(f"this code can run all of {looked_at} jobs and schedules")
    return 1 if problems else 0
