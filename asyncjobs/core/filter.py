"""Which jobs of a list are meant."""

from __future__ import annotations

import msgspec

from asyncjobs.core.job import Job

__all__ = ["JobFilter"]


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Says of a job whether it is meant; ``None`` lets everything pass.

    ``error``: the type of the last error, with its module or without. ``since_ms`` and ``until_ms``: bounds of the time
    at which it ended, in Unix milliseconds, the first included.
    """

    name: str | None = None
    error: str | None = None
    tenant: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def matches(self, job: Job) -> bool:
        """Say whether ``job`` is meant."""
        ended_ms = job.finished_at_ms or 0
        return (
            (self.name is None or job.name == self.name)
            and (self.tenant is None or job.tenant == self.tenant)
            and (self.error is None or self._has_error(job))
            and (self.since_ms is None or ended_ms >= self.since_ms)
            and (self.until_ms is None or ended_ms < self.until_ms)
        )

    def _has_error(self, job: Job) -> bool:
        if not job.errors:
            return False
        kind = job.errors[-1].type
        return self.error in (kind, kind.rpartition(".")[2])
