"""The verbs of an app for who looks after it: what was done by hand, and how the broker's server is."""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from asyncjobs.app.audit import AuditEntry, audit_entry
from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.core.bounds import checked_count, shown
from asyncjobs.core.duration import utc_time
from asyncjobs.errors import ArgumentsError
from asyncjobs.ports import ServerState

__all__ = ["Deploy", "OperationVerbs"]

_MOST = 1_000
_ID = re.compile(r"\d{1,18}-\d{1,18}", re.ASCII)


class Deploy(msgspec.Struct, frozen=True, kw_only=True):
    """When a deploy began."""

    name: str
    """What the setting ``deploy`` of its workers says."""
    began_at: datetime
    """When the first of its workers started, in UTC."""


class OperationVerbs(Verbs):
    """The verbs for who looks after the jobs."""

    @on_app_loop
    async def audit(self, limit: int = 100, *, before: str = "") -> list[AuditEntry]:
        """Return what was done by hand, latest first: who has paused, retried, deleted or cancelled what, and why.

        The last 10,000 entries are kept. ``acting`` says what is noted, and under which name.

        Args:
            limit: How many entries at most, up to 1,000.
            before: The ``id`` of an entry before which the others were noted; by default the latest.

        Raises:
            ArgumentsError: ``limit`` is no count, or too high, or ``before`` is not the ``id`` of an entry.
        """
        if not isinstance(before, str) or (before and not _ID.fullmatch(before)):
            raise ArgumentsError(f"before={shown(before)}: expected the id of an entry, or '' for the latest")
        limit = checked_count("limit", limit)
        if limit > _MOST:
            raise ArgumentsError(
                f"limit={limit}: expected at most {_MOST}; go on with before=, the id of the last entry"
            )
        return [audit_entry(one) for one in await self._broker.audits(before, limit)]

    @on_app_loop
    async def deploys(self) -> list[Deploy]:
        """Return when each deploy began, the earliest first; the last 100 are kept.

        The setting ``deploy`` names a release or a commit. A deploy begins with the start of its first worker.
        """
        return [Deploy(name=name, began_at=utc_time(at)) for name, at in (await self._broker.deploys()).items()]

    @on_app_loop
    async def server(self) -> ServerState:
        """Return how the broker's server is: version, memory, eviction policy, persistence, replicas, clock and rights.

        It asks each server a few short questions, and takes a few milliseconds.
        """
        return await self._broker.server()
