"""``asyncjobs turns``: whose turn is next on a queue with fair turns."""

from __future__ import annotations

import argparse

from asyncjobs.app import App
from asyncjobs.app.stats import QueueStats
from asyncjobs.app.turns import MAX_TURNS, TurnStats, tenants_by_group
from asyncjobs.cli.command import Commands, add_operator_command, bounded_count
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_note, print_tables
from asyncjobs.cli.queues import check_queue
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import Table
from asyncjobs.core.lines import DIGEST_MARK

__all__ = ["add_commands"]

_EXAMPLES = """\
examples:
  asyncjobs turns imports --app shop:app
  asyncjobs turns imports --limit 100 --url redis://localhost:6379/0

The group that starts next comes first. One whose limits are closed is left out;
`asyncjobs limits` shows these.
"""

# Of how many tenants of the queue the groups are told by name where these are digests.
_MAX_TENANTS = 500


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_operator_command(
        commands, "turns", "show whose turn is next on a queue with fair turns", _EXAMPLES, _turns
    )
    parser.add_argument("queue", help="the queue")
    parser.add_argument(
        "--limit",
        type=bounded_count(1, MAX_TURNS),
        default=20,
        metavar="N",
        help=f"how many groups at most, 1 to {MAX_TURNS} (default: 20)",
    )


def _turns(options: argparse.Namespace) -> int:
    queue = options.queue
    found, tenants, stats = on_app(app_of(options), lambda app: _read(app, queue, options.limit))
    rows = [
        [tenants.get(one.group, one.group) or "(no group)", f"{one.waiting:,}", f"{one.weight:g}", one.priority]
        for one in found
    ]
    print_tables(options, found, Table(f"Turns of queue {queue}", ["group", "waiting", "weight", "priority"], rows))
    if not options.json:
        print_note(*_notes(found, stats, options.limit))
    return 0


def _notes(found: list[TurnStats], stats: QueueStats, limit: int) -> list[str]:
    """Return what the table doesn't show."""
    # Those that have no group and no limit by name; where no group waits, those that have wait at limits.
    alone, held = stats.pending - stats.lined, 0 if found else stats.lined
    notes = []
    if not found:
        notes.append("no group waits for a turn" if alone or held else "no job waits for a turn")
    if alone:
        jobs = "job without a group waits" if alone == 1 else "jobs without a group wait"
        notes.append(f"{alone:,} {jobs} " + ("besides, with turns as one group" if found else "in the queue's order"))
    if held:
        jobs = "job waits" if held == 1 else "jobs wait"
        notes.append(f"{held:,} {jobs} at limits, which `asyncjobs limits` shows")
    if len(found) == limit < MAX_TURNS:
        notes.append(f"the first {limit}; there may be others, which --limit shows")
    return [f"asyncjobs: {one}" for one in notes]


async def _read(app: App, queue: str, limit: int) -> tuple[list[TurnStats], dict[str, str], QueueStats]:
    """Return the groups, the tenants of those that are digests, and the figures of the queue."""
    await check_queue(app, queue)
    found, stats = await app.turns(queue, limit=limit), await app.queue_stats(queue)
    tenants: dict[str, str] = {}
    if any(one.group.startswith(DIGEST_MARK) for one in found):
        tenants = tenants_by_group(one.tenant for one in (await app.tenants(queue=queue, limit=_MAX_TENANTS)).tenants)
    return found, tenants, stats
