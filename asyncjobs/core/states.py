"""The states of a job and the only ways between them."""

from __future__ import annotations

import enum
from typing import NoReturn

from asyncjobs.errors import InvalidTransition

__all__ = ["ENDED", "TRANSITIONS", "JobState", "refuse_transition"]


class JobState(enum.Enum):
    """Where a job is in its life."""

    PENDING = "pending"
    """The job waits: for a worker, or for its due time, or set aside (parked) until a worker knows its name or a
    suspension ends."""
    RUNNING = "running"
    """A worker has claimed the job."""
    COMPLETED = "completed"
    """The handler has returned; the job never runs again."""
    FAILED = "failed"
    """The job is in the dead letter queue: it has failed for good, or can't be run. It may be retried by hand."""
    RETRYING = "retrying"
    """An attempt has failed, and the job waits for the next."""
    CANCELLED = "cancelled"
    """The job was cancelled, or has expired; it never runs again."""

    successors: tuple[JobState, ...]
    """The states to which a job may go from here."""


#                    ┌───────────── released, recovered ─────────────┐
#                    ▼                                               │
#   create ──▶  PENDING ──────────── claim ──────────────────▶  RUNNING ──▶ COMPLETED
#                 ▲  │                                          ▲  │  │
#                 │  └─▶ CANCELLED ◀── cancel ─── RETRYING ─────┘  │  └───▶ CANCELLED
#          retry  │                                  ▲    claim    │
#                 │                                  └── failed ───┤
#               FAILED ◀───────────── retries used up ─────────────┘
#
# FAILED is the dead letter queue: a pending job reaches it too when its payload can't be read or no worker knows
# its name. An ended job (COMPLETED, CANCELLED) never moves again.
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.PENDING: frozenset({JobState.RUNNING, JobState.CANCELLED, JobState.FAILED}),
    JobState.RUNNING: frozenset(
        {JobState.COMPLETED, JobState.RETRYING, JobState.FAILED, JobState.CANCELLED, JobState.PENDING}
    ),
    JobState.RETRYING: frozenset({JobState.RUNNING, JobState.CANCELLED, JobState.FAILED}),
    JobState.FAILED: frozenset({JobState.PENDING}),
    JobState.COMPLETED: frozenset(),
    JobState.CANCELLED: frozenset(),
}

# On the state itself, since a dictionary would hash the state at each move of a job.
for _state, _successors in TRANSITIONS.items():
    _state.successors = tuple(_successors)

ENDED = frozenset({JobState.COMPLETED, JobState.CANCELLED})


def refuse_transition(old: JobState, new: JobState, job_id: str) -> NoReturn:
    """Raise the ``InvalidTransition`` of a job that may not go from ``old`` to ``new``."""
    allowed = ", ".join(sorted(state.value for state in old.successors)) or "nothing: it has ended"
    raise InvalidTransition(
        f"job {job_id} can't go from {old.value} to {new.value}; from {old.value} it may go to {allowed}"
    )
