"""A filter for lists of jobs."""

from __future__ import annotations

import msgspec

from asyncjobs.core.job import Job

__all__ = ["JobFilter"]


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Selects jobs; a field that is ``None`` lets every job pass."""

    name: str | None = None
    """The job name."""
    error: str | None = None
    """The type of the last error, with its module or without."""
    tenant: str | None = None
    """The id of the tenant."""
    since_ms: int | None = None
    """The earliest time of its end, or before its end, of its sending, in Unix milliseconds."""
    until_ms: int | None = None
    """The time before which that was, in Unix milliseconds."""
    group: str | None = None
    """The group of dead jobs, empty for those in none. A job doesn't tell its group, so the broker goes by it."""

    def matches(self, job: Job) -> bool:
        """Return whether ``job``, which is of the group, passes the filter."""
        at_ms = job.created_at_ms if job.finished_at_ms is None else job.finished_at_ms
        return (
            (self.name is None or job.name == self.name)
            and (self.tenant is None or job.tenant == self.tenant)
            and (self.error is None or self._has_error(job))
            and (self.since_ms is None or at_ms >= self.since_ms)
            and (self.until_ms is None or at_ms < self.until_ms)
        )

    def _has_error(self, job: Job) -> bool:
        if not job.errors:
            return False
        kind = job.errors[-1].type
        return self.error in (kind, kind.rpartition(".")[2])
