"""``asyncjobs doctor``: whether the broker's server is fit for jobs, and what to do where it isn't."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from asyncjobs.app import App
from asyncjobs.app.triage.finding import ProblemLimits, span
from asyncjobs.brokers.redis.roles import ROLES, Role, acl_rules, commands_of
from asyncjobs.cli.command import Commands, add_operator_command, add_short_app
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_json, print_tables, print_text
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import Table, size_cell
from asyncjobs.errors import BrokerRefused
from asyncjobs.ports import ServerNode, ServerState

__all__ = ["Check", "add_commands", "checks", "repairs"]

_EXAMPLES = """\
examples:
  asyncjobs doctor shop:app
  asyncjobs doctor --url redis://localhost:6379/0 --json
  asyncjobs doctor shop:app --role worker       ask for the rights of a worker alone
  asyncjobs doctor shop:app --acl sender        print the rules for the user of a sender

The exit code is 1 if jobs can't run, or may be lost.
"""

# From which answering time on jobs are felt to be slow, in milliseconds.
_SLOW_MS = 50.0

_STYLES = {"ok": "", "warn": "yellow", "bad": "red"}


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    server: str
    """Of which server."""
    what: str
    """What was looked at."""
    level: Literal["ok", "warn", "bad"]
    """``bad`` where jobs can't run or may be lost, ``warn`` where they may come to that."""
    found: str
    """What was found."""
    advice: str = ""
    """What to do; empty where all is well."""


class UserRules(msgspec.Struct, frozen=True, kw_only=True):
    """A user of the server's ACL."""

    user: str
    """Its name."""
    rules: list[str]
    """The rules of ``ACL SETUSER``: what it is allowed."""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    text = "check whether the broker's server is fit for jobs, and say what to do where it isn't"
    parser = add_operator_command(commands, "doctor", text, _EXAMPLES, _doctor)
    add_short_app(parser)
    parser.add_argument("--role", choices=ROLES, help="what the user must be allowed to; by default all")
    parser.add_argument(
        "--acl", choices=ROLES, help="only print the command that makes a user with the rights of a role"
    )


def _doctor(options: argparse.Namespace) -> int:
    app = app_of(options)
    if options.acl is not None:
        return _print_acl(options, app)
    try:
        state, repaired = on_app(app, _read)
        found = [*checks(state, options.role), *repairs(repaired)]
    except BrokerRefused as error:
        # Opening refuses a server that can't keep what is promised; the error says what to do.
        told = str(error)
        found = [Check(server=app.settings.server.address, what="connection", level="bad", found=told)]
    columns = ["server", "check", "level", "found", "do"]
    rows = [[one.server, one.what, one.level, one.found, one.advice or "-"] for one in found]
    print_tables(options, found, Table("Doctor", columns, rows, [_STYLES[one.level] for one in found]))
    return 1 if any(one.level == "bad" for one in found) else 0


async def _read(app: App) -> tuple[ServerState, dict[str, int]]:
    """Return what the server says of itself, and how many slots of limits were counted wrongly, by queue."""
    state = await app.server()
    try:
        queues = (await app.stats()).queues
    except BrokerRefused:
        # The user of a sender may not read figures, and the check of its rights says what it may not.
        return state, {}
    return state, {one.queue_name: one.repaired_total for one in queues if one.repaired_total}


def repairs(repaired: Mapping[str, int]) -> Iterator[Check]:
    """Yield what there is to say about slots of limits that were counted wrongly.

    Args:
        repaired: How many, by queue.
    """
    for queue, count in repaired.items():
        slots = "1 slot of its limits was" if count == 1 else f"{count:,} slots of its limits were"
        yield Check(
            server=f"queue {queue}",
            what="limits",
            level="warn",
            found=f"{slots} counted wrongly, and set right",
            advice="look for errors of asyncjobs.worker in the log of the workers, and report them: it is a fault",
        )


def _print_acl(options: argparse.Namespace, app: App) -> int:
    user = UserRules(user=f"asyncjobs-{options.acl}", rules=acl_rules(options.acl, app.settings.prefix))
    if options.json:
        print_json(user)
    else:
        print_text(f"ACL SETUSER {user.user} reset on >PASSWORD {' '.join(user.rules)}")
    return 0


def checks(state: ServerState, role: Role | None = None) -> Iterator[Check]:
    """Yield what there is to say about the server, or about each primary of a Cluster, well or not.

    Args:
        state: What the server says of itself.
        role: What the user must be allowed to; by default all.
    """
    if state.kind == "memory":
        advice = "for jobs that are to outlive the process, name a server: redis://…"
        told = "the jobs are in the memory of one process, and are lost with it"
        yield Check(server="memory", what="broker", level="warn", found=told, advice=advice)
        return
    for node in state.nodes:
        yield Check(server=node.address, what="version", level="ok", found=node.version)
        for check in (_latency, _memory, _eviction, _persistence, _replicas, _clock):
            yield check(node)
        yield _rights(node, role)


def _latency(node: ServerNode) -> Check:
    is_slow = node.latency_ms > _SLOW_MS
    return Check(
        server=node.address,
        what="latency",
        level="warn" if is_slow else "ok",
        found=f"it answers in {node.latency_ms:.1f} ms",
        advice="put workers nearer to the server, and look for slow commands of others: SLOWLOG GET" if is_slow else "",
    )


def _memory(node: ServerNode) -> Check:
    if not node.max_memory:
        told = f"{size_cell(node.memory)} are used, without a limit"
        return Check(server=node.address, what="memory", level="ok", found=told)
    share = node.memory / node.max_memory
    is_full = share >= ProblemLimits().memory
    return Check(
        server=node.address,
        what="memory",
        level="bad" if is_full else "ok",
        found=f"{size_cell(node.memory)} of {size_cell(node.max_memory)} are used, {share:.0%}",
        advice="raise maxmemory, let workers drain the queues, or shorten result_ttl and dead_ttl" if is_full else "",
    )


def _eviction(node: ServerNode) -> Check:
    if node.policy == "noeviction":
        told = "noeviction: it refuses to write when memory is full"
        return Check(server=node.address, what="eviction policy", level="ok", found=told)
    return Check(
        server=node.address,
        what="eviction policy",
        level="bad" if node.max_memory else "warn",
        found=f"{node.policy}: it throws keys away when memory is full, and jobs with them",
        advice="CONFIG SET maxmemory-policy noeviction",
    )


def _persistence(node: ServerNode) -> Check:
    if node.persistence_failed:
        return Check(
            server=node.address,
            what="persistence",
            level="bad",
            found="the last write to the disk failed",
            advice="look at its log, and at the room and the rights on its disk",
        )
    if "aof" in node.persistence:
        return Check(server=node.address, what="persistence", level="ok", found="an append-only file")
    told = "snapshots: a crash loses what came after the last one" if node.persistence else "nothing is kept on a disk"
    return Check(
        server=node.address,
        what="persistence",
        level="warn",
        found=told,
        advice="CONFIG SET appendonly yes, and the same in its configuration",
    )


def _replicas(node: ServerNode) -> Check:
    behind = node.replicas_lagging
    return Check(
        server=node.address,
        what="replicas",
        level="warn" if behind else "ok",
        found=f"{node.replicas} connected" + (f", {behind} of which don't follow" if behind else ""),
        advice="look at INFO replication, and at the network to them" if behind else "",
    )


def _clock(node: ServerNode) -> Check:
    skew = node.clock_skew_ms
    is_off = abs(skew) >= ProblemLimits().clock_ms
    told = f"{span(abs(skew) / 1000)} {'ahead of' if skew > 0 else 'behind'} the clock here" if is_off else "as here"
    return Check(
        server=node.address,
        what="clock",
        level="warn" if is_off else "ok",
        found=told,
        advice="set both by NTP: due times and schedules go by the server's clock" if is_off else "",
    )


def _rights(node: ServerNode, role: Role | None) -> Check:
    names = [one for one in node.refused if role is None or one in commands_of(role)]
    refused = " ".join(f"+{one.lower()}" for one in names)
    return Check(
        server=node.address,
        what="rights",
        level="bad" if refused else "ok",
        found=f"the user may not call {', '.join(names)}" if refused else "the user may call all that is needed",
        advice=f"ACL SETUSER <user> {refused}" if refused else "",
    )
