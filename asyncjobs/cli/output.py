"""How commands tell of jobs and times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from asyncjobs.core.job import Job

__all__ = ["identity", "moment"]


def identity(job: Job) -> dict[str, Any]:
    """Return which job it is, as plain values for JSON."""
    return {
        "id": job.id,
        "name": job.name,
        "queue": job.queue,
        "state": job.state.value,
        "priority": job.priority.label,
        "tenant": job.tenant or None,
    }


def moment(value: datetime | None) -> str:
    """Return a time as tables show it: in UTC, to the second."""
    return "-" if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
