"""What a broker promises about itself, about what was done by hand, and about the jobs that workers know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

__all__ = ["AuditRecord", "CatalogueEntry", "Operations", "ServerNode", "ServerState"]


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, by whom and from where. Texts are cut where they are made, so that a record stays small."""

    by: str
    """Who did it: a user, or a process."""
    via: str
    """From where: ``cli``, ``api``, ``dashboard`` or ``python``, or what else the caller has said."""
    verb: str
    """What was done, as the verb of the app."""
    queue: str = ""
    """In which queue; empty for several."""
    subject: str = ""
    """To what: the id of a job or a schedule, a job name, a tenant or a queue; empty for the jobs of a filter."""
    filter: dict[str, str] = {}
    """Which jobs, where it was the jobs of a filter."""
    count: int = 1
    """To how many."""
    note: str = ""
    """Why, in the words of who did it."""
    id: str = ""
    """Its place in the order of all, as a cursor; set by the broker."""
    at_ms: int = 0
    """When, in Unix milliseconds by the broker's clock; set by the broker."""


class CatalogueEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A job as its worker's code defines it."""

    name: str
    """The job name."""
    queue: str = ""
    """The queue of its definition."""
    parameters: tuple[str, ...] = ()
    """The names of its parameters, in order."""
    secret: tuple[str, ...] = ()
    """Those of the parameters whose values aren't to be shown."""
    summary: str = ""
    """The first line of its docstring."""


class ServerNode(msgspec.Struct, frozen=True, kw_only=True):
    """One server, or one primary of a Cluster."""

    address: str
    """Where it is; empty in memory."""
    version: str
    """Its version, with the name of the program."""
    role: Literal["primary", "replica"] = "primary"
    """Whether it takes writes."""
    replicas: int = 0
    """How many replicas are connected to it."""
    replicas_lagging: int = 0
    """How many of these don't follow at the moment."""
    memory: int = 0
    """How many bytes it uses; 0 if that isn't known."""
    max_memory: int = 0
    """How many bytes it may use; 0 for no limit."""
    policy: str = "noeviction"
    """What it does when that is used up: only ``noeviction`` loses no job."""
    persistence: tuple[Literal["aof", "rdb"], ...] = ()
    """How it keeps the data over a restart: append-only file, snapshots, both or neither."""
    persistence_failed: bool = False
    """Whether it failed to write that file the last time."""
    saved_at_ms: int | None = None
    """When the last snapshot was written, in Unix milliseconds; ``None`` if that isn't known."""
    clients: int = 0
    """How many connections it has."""
    uptime_ms: int = 0
    """Since how long it runs, in milliseconds."""
    latency_ms: float = 0.0
    """How long it took to answer a short question."""
    clock_skew_ms: int = 0
    """How far its clock is ahead of that of this process, in milliseconds, within ``latency_ms``."""
    refused: tuple[str, ...] = ()
    """The commands that asyncjobs needs and that its user there may not call."""


class ServerState(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps the jobs."""

    kind: Literal["memory", "redis", "sentinel", "cluster"]
    """The memory of this process, one server, a primary behind sentinels, or a Cluster."""
    nodes: tuple[ServerNode, ...]
    """The server, or each primary of the Cluster that can be reached."""


class Operations(Protocol):
    """The verbs for who looks after the jobs."""

    async def audit(self, record: AuditRecord) -> None:
        """Note what was done. The last 10,000 records are kept, or some more.

        Args:
            record: What was done; the broker sets ``id`` and ``at_ms``.
        """
        ...

    async def audits(self, before: str, limit: int) -> list[AuditRecord]:
        """Return what was done, latest first.

        Args:
            before: The ``id`` of a record before which the others were noted; empty for the latest.
            limit: How many at most.
        """
        ...

    async def publish_catalogue(self, entries: Sequence[CatalogueEntry]) -> None:
        """Make known how jobs are defined, in place of what was known of jobs of the same names.

        Entries that are known as they are cost no write. At most 5,000 names are kept; further ones are left out.

        Args:
            entries: The jobs.
        """
        ...

    async def catalogue(self) -> Mapping[str, CatalogueEntry]:
        """Return how the jobs are defined that workers have made known, by name."""
        ...

    async def note_deploy(self, deploy: str, began_ms: int) -> None:
        """Make known when a deploy began, unless it is known to have begun earlier. The last 100 deploys are kept.

        Args:
            deploy: Its name.
            began_ms: When its first worker started, in Unix milliseconds.
        """
        ...

    async def deploys(self) -> Mapping[str, int]:
        """Return when each deploy began, in Unix milliseconds, by name, the earliest first."""
        ...

    async def server(self) -> ServerState:
        """Return the state of what keeps the jobs, as it says it now."""
        ...
