"""What a user of the server needs, by what its program does: the rules of its ACL, taken from the scripts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Literal, NamedTuple

from asyncjobs.brokers.redis.keys import ENDED_CHANNEL, FAMILIES, Family, GlobalKeys, QueueKeys
from asyncjobs.brokers.redis.permissions import NEEDED_COMMANDS, OTHER_COMMANDS, WRITES
from asyncjobs.brokers.redis.scripts import load

__all__ = ["ROLES", "Role", "RoleNeeds", "acl_rules", "commands_of", "roles_of", "roles_with"]

Role = Literal["sender", "worker", "operator", "viewer"]
"""What a program does: sends jobs and awaits them, runs them, shows and steers them, or only shows them."""


class RoleNeeds(NamedTuple):
    """What a role calls."""

    purpose: str
    """What its programs do."""
    scripts: frozenset[str]
    """The scripts that it runs."""
    commands: frozenset[str]
    """The commands that it sends outside of scripts."""
    keys: frozenset[str]
    """The keys outside of queues that it uses, as ``GlobalKeys`` names them."""
    channels: tuple[str, ...] = (ENDED_CHANNEL, f"{FAMILIES['cancel_news']}*")
    """The channels of queues that it publishes and subscribes to."""
    families: frozenset[Family] = frozenset()
    """The keys of queues that it uses outside of scripts, as ``FAMILIES`` names them."""
    queue_keys: frozenset[str] = frozenset()
    """And those of one key, as ``QueueKeys`` names them."""
    may_write: bool = True
    """Whether its scripts may write; if not, they do without."""


_SENT = frozenset(("enqueue", "enqueue_unique", "find", "forget", "read_events"))
_LOOKED_AT = frozenset(
    ("count_dead", "dead_groups", "locate", "page", "runs", "sample", "scan", "series", "tenants", "turns")
)
_STEERED = frozenset(("cancel", "edit", "forget_queue", "hold", "mark_group", "retry", "schedule_move"))
_RUN = frozenset(
    (
        "begin_gauges",
        "claim",
        "count_runs",
        "declare",
        "emit",
        "extend",
        "keep_gauges",
        "prune",
        "reclaim",
        "recover",
        "schedule_fire",
        "settle",
        "unpark",
    )
)
# A worker may delete too: it has the keys, and a script that is refused in its middle would leave half a job.
_SHARED = frozenset(
    (
        "delete",
        "forget_deleted",
        "gates",
        "limit",
        "overview",
        "ring",
        "schedule_list",
        "schedule_put",
        "schedule_remove",
        "undelete",
    )
)

# Of each program: at the start, for a Cluster, and to be told of ends.
_ANY = frozenset(("ASKING", "CLUSTER|SLOTS", "EVAL", "EVALSHA", "HGET", "HSETNX", "INFO", "PING"))
_ANY |= {"SELECT", "SUBSCRIBE", "UNSUBSCRIBE", "ZADD", "ZRANGE"}
# For the doctor, which asks for commands without calling them.
_ANY |= {"DISCARD", "MULTI", "TIME"}
# To send with durability="replicated".
_REPLICATED = frozenset(("SET", "WAIT"))
_FIGURES = frozenset(("GET", "HGETALL", "PTTL", "TIME", "ZREM", "ZREMRANGEBYSCORE"))
_HISTORY = frozenset(("LRANGE", "XREVRANGE", "ZCARD", "ZMSCORE"))
_OF_NAMES: frozenset[Family] = frozenset(("name_history", "tenant_dead", "tenant_history", "tenant_stats"))
_OF_TENANTS = frozenset(("tenant_ends",))
_SHOWN = frozenset(("meta", "queues", "catalogue", "deploys", "workers", "worker", "audit"))

ROLES: Mapping[Role, RoleNeeds] = {
    "sender": RoleNeeds(
        "sends jobs, and awaits their results and events",
        _SENT,
        _ANY | _REPLICATED | {"HGETALL"},
        frozenset(("meta", "queues", "catalogue")),
        (ENDED_CHANNEL,),
    ),
    "worker": RoleNeeds(
        "runs jobs and fires schedules; its handlers may send jobs",
        _SENT | _RUN | _SHARED,
        _ANY
        | _REPLICATED
        | _FIGURES
        | {"BLPOP", "DEL", "EXISTS", "HLEN", "HMGET", "HSET", "PEXPIRE", "ZREMRANGEBYRANK"},
        frozenset(("meta", "queues", "catalogue", "deploys", "workers", "worker", "names")),
    ),
    "operator": RoleNeeds(
        "shows and steers jobs: the dashboard, the admin API, the command line; it may send jobs",
        _SENT | _STEERED | _LOOKED_AT | _SHARED,
        _ANY | _REPLICATED | _FIGURES | _HISTORY | {"CONFIG|GET", "XADD"},
        _SHOWN,
        families=_OF_NAMES,
        queue_keys=_OF_TENANTS,
    ),
    "viewer": RoleNeeds(
        "shows jobs and changes nothing: a dashboard to look at",
        _LOOKED_AT | {"find", "gates", "overview", "read_events", "schedule_list"},
        (_ANY | _FIGURES | _HISTORY) - WRITES,
        _SHOWN,
        (ENDED_CHANNEL,),
        _OF_NAMES,
        _OF_TENANTS,
        may_write=False,
    ),
}
"""What each role needs. A program with two of them needs a user with the rules of both."""

_QUOTED = re.compile(r"'([A-Z]{3,})'")


def commands_of(role: Role) -> frozenset[str]:
    """Return the commands that a role sends, or that its scripts call; a subcommand as ``CONFIG|GET``."""
    needs = ROLES[role]
    known = NEEDED_COMMANDS.keys() | OTHER_COMMANDS
    called = {word for name in needs.scripts for word in _QUOTED.findall(load(name).text)}
    return needs.commands | (called & (known if needs.may_write else known - WRITES))


def roles_with(call: str) -> list[Role]:
    """Return the roles that have what ``call``, the name of a script or a command, needs."""
    return [role for role, needs in ROLES.items() if call in needs.scripts | needs.commands]


def roles_of(refused: Collection[str]) -> list[Role]:
    """Return the roles that a user has who may call all but ``refused``, of the commands that asyncjobs needs."""
    return [role for role in ROLES if commands_of(role).isdisjoint(refused)]


def acl_rules(role: Role, prefix: str) -> list[str]:
    """Return the rules of ``ACL SETUSER`` that allow a role what it needs, and nothing else.

    Args:
        role: The role.
        prefix: What every key begins with.
    """
    prefix = _literally(prefix)
    base = QueueKeys(prefix, "*").base
    return [
        "-@all",
        # Redis 6.2 gives each new user all channels.
        "resetchannels",
        *(f"+{name.lower()}" for name in sorted(commands_of(role))),
        *(f"~{pattern}" for pattern in sorted({*_patterns(role, prefix)})),
        *(f"&{base}{channel}" for channel in ROLES[role].channels),
    ]


def _patterns(role: Role, prefix: str) -> Iterator[str]:
    needs = ROLES[role]
    any_queue = QueueKeys(prefix, "*")
    yield any_queue.barrier
    for script in map(load, needs.scripts):
        yield from any_queue.named(script.keys)
        # The cancel news are channels.
        yield from (
            any_queue.of(family, "*")
            for family in FAMILIES
            if family != "cancel_news" and f"{family}_key" in script.text
        )
    yield from (any_queue.of(family, "*") for family in needs.families)
    yield from (str(getattr(any_queue, name)) for name in needs.queue_keys)
    others = GlobalKeys(prefix)
    if "worker" in needs.keys:
        yield others.worker("*")
    if "names" in needs.keys:
        # For all queues, or in a Cluster for each.
        yield others.names("*", None)
        yield any_queue.of("names", "*")
    yield from (str(getattr(others, name)) for name in needs.keys - {"worker", "names"})


def _literally(prefix: str) -> str:
    """Return ``prefix`` as a pattern that only it fits."""
    return re.sub(r"([\\*?\[\]])", r"\\\1", prefix)
