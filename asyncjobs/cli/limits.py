"""``asyncjobs limits`` and ``limit``: shows and changes how many jobs may run, of queues and through their gates."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from asyncjobs.app import App
from asyncjobs.app.gates import MAX_LOOKED_THROUGH, GateStats, limit_of
from asyncjobs.app.limited import QueueLimits, limits_of
from asyncjobs.app.stats import LimitStats
from asyncjobs.cli.command import Commands, add_operator_command, add_short_app, bounded_count
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_lines, print_tables
from asyncjobs.cli.queues import check_queue
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import Table, duration_cell, time_cell
from asyncjobs.core.gates import checked_gate
from asyncjobs.core.options import UNSET
from asyncjobs.errors import ArgumentsError, AsyncJobsError, ConfigurationError

__all__ = ["add_commands"]

_LIMITS = """\
examples:
  asyncjobs limits shop:app
  asyncjobs limits shop:app --queue emails --limit 500    (500 values of each limit, not 20)
  asyncjobs limits --url redis://localhost:6379/0 --json
"""
_LIMIT = """\
examples:
  asyncjobs limit emails --running 20 --app shop:app      (at most 20 of its jobs run at once, on all workers together)
  asyncjobs limit emails --rate 50/s --app shop:app       (at most 50 of its jobs start in a second; also 1000/m, 1/h)
  asyncjobs limit emails --rate none --app shop:app       (any number)
  asyncjobs limit emails --reset --app shop:app           (as the program declares it)
  asyncjobs limit emails stripe --rate 10/s --app shop:app           (the limit stripe)
  asyncjobs limit emails customer=42 --running 10 --app shop:app     (the limit customer, for one value)

It holds at once, also for jobs that were sent before, until --reset. Jobs that run already go on.
"""

# How many values of each limit can be asked for.
_MAX_GATES = 1_000

_SHOWN_HOLDERS = 3


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    text = "show how many jobs of each queue may run, at once and in a time, and what waits at which limit"
    parser = add_operator_command(commands, "limits", text, _LIMITS, _show)
    parser.add_argument("--queue", help="only this queue")
    parser.add_argument(
        "--limit",
        type=bounded_count(1, _MAX_GATES),
        default=20,
        metavar="NUMBER",
        help="how many values of each limit at most (20), up to 1,000",
    )
    add_short_app(parser)
    text = "limit how many jobs of a queue run, or through one of its gates, at once and in a time"
    parser = add_operator_command(commands, "limit", text, _LIMIT, _change)
    parser.add_argument("queue", help="the queue")
    parser.add_argument("gate", nargs="?", help="a limit by name, or one for a value, as customer=42")
    parser.add_argument("--running", metavar="NUMBER", help="how many may run at once, or none for any number")
    parser.add_argument("--rate", help="how many may start in a time, such as 50/s, or none for any number")
    parser.add_argument("--reset", action="store_true", help="let it be again as the program declares it")


def _show(options: argparse.Namespace) -> int:
    found = on_app(app_of(options), lambda app: _read(app, options.queue, options.limit))
    limits = [[one.queue, f"{one.running:,}", *_cells(one.limit)] for one in found if one.limit is not None]
    columns = ["queue", "running", "at most", "rate", "at once", "next start (UTC)", "set by", "declared"]
    tables = [Table("Limits of queues", columns, limits)]
    gates = [(one.queue, gate) for one in found for gate in one.gates]
    if gates:
        rows = [[gate.gate, queue, *_gate_cells(gate)] for queue, gate in gates]
        styles = ["yellow" if gate.is_full or gate.opens_at else "" for _, gate in gates]
        columns = ["gate", "queue", "in use", "at most", "rate", "waiting", "lines", "oldest", "opens (UTC)", "set by"]
        tables.append(Table("Limits by name", [*columns, "run"], rows, styles))
    print_tables(options, found, *tables)
    return 0


async def _read(app: App, queue: str | None, limit: int) -> list[QueueLimits]:
    if queue is not None:
        await check_queue(app, queue)
    return [one for one in await limits_of(app, None if queue is None else [queue], limit) if one.has_any]


def _cells(limit: LimitStats) -> list[str]:
    return [
        "any" if limit.running is None else str(limit.running),
        limit.rate or "any",
        "-" if limit.burst is None else str(limit.burst),
        time_cell(limit.opens_at),
        (limit.set_by or "?") if limit.is_set else "-",
        limit.declared,
    ]


def _gate_cells(gate: GateStats) -> list[str]:
    each = " each" if gate.is_each else ""
    opens = time_cell(gate.opens_at) + (", closed by a job" if gate.is_closed else "")
    return [
        f"{gate.in_use:,}" + (f", {gate.booked:,} booked" if gate.booked else ""),
        "any" if gate.running is None else f"{gate.running:,}{each}",
        "any" if gate.rate is None else f"{gate.rate}{each}",
        f"{gate.waiting:,}",
        f"{gate.waiting_lines:,}",
        duration_cell(gate.oldest_wait_ms) if gate.waiting else "-",
        opens,
        (gate.set_by or "?") if gate.is_set else "-",
        _shortened(gate.holders),
    ]


def _shortened(holders: Iterable[str]) -> str:
    first = [*holders]
    return ", ".join([*first[:_SHOWN_HOLDERS], *(["…"] if len(first) > _SHOWN_HOLDERS else [])]) or "-"


def _change(options: argparse.Namespace) -> int:
    given, queue, gate = _given(options), options.queue, options.gate or ""

    async def change(app: App) -> LimitStats | GateStats | None:
        await _check(app, queue, gate)
        if options.reset:
            await app.reset_limit(queue, gate)
        else:
            await app.set_limit(queue, gate, **given)
        if not gate:
            return (await app.queue_stats(queue)).limit
        return limit_of(await app.gates(queue, limit=MAX_LOOKED_THROUGH), gate)

    found = on_app(app_of(options), change)
    limit = found.limit if isinstance(found, GateStats) else found
    what = f"queue {queue}, {gate}" if gate else f"queue {queue}"
    print_lines(options, {gate or queue: found}, f"{what}: {limit or 'no limit'}")
    return 0


async def _check(app: App, queue: str, gate: str) -> None:
    """Raise ``AsyncJobsError`` for a queue, or a limit of it, that neither the broker nor the app's code knows."""
    await check_queue(app, queue)
    text = checked_gate(gate, UNSET)
    try:
        await app._check_limit(queue, text, gate)
    except ArgumentsError as error:
        raise AsyncJobsError(str(error)) from None


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments for ``App.set_limit``; what is wrong is for that to say."""
    given: dict[str, Any] = {}
    if options.running is not None:
        given["running"] = None if options.running == "none" else _number(options.running)
    if options.rate is not None:
        given["rate"] = None if options.rate == "none" else options.rate
    if bool(given) == options.reset:
        raise ConfigurationError("say what: --running NUMBER, --rate RATE or both, or --reset alone")
    return given


def _number(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text
