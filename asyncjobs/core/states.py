"""The states of a job and the only ways between them."""

from __future__ import annotations

import enum
from typing import NoReturn

from asyncjobs.errors import InvalidTransition

__all__ = ["ENDED", "TRANSITIONS", "JobState", "refuse_transition"]


class JobState(enum.Enum):
    """Where a job is in its life. A scheduled job is ``PENDING`` with a due time."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    RETRYING = "retrying"
    CANCELLED = "cancelled"

    def __init__(self, label: str) -> None:
        #: Where a job may go from here; a row of the table below, found without hashing.
        self.successors: tuple[JobState, ...] = ()


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

for _state, _successors in TRANSITIONS.items():
    _state.successors = tuple(_successors)

ENDED = frozenset({JobState.COMPLETED, JobState.CANCELLED})


def refuse_transition(old: JobState, new: JobState, job_id: str) -> NoReturn:
    """Raise the ``InvalidTransition`` of a job that may not go from ``old`` to ``new``."""
    allowed = ", ".join(sorted(state.value for state in old.successors)) or "nothing: it has ended"
    raise InvalidTransition(
        f"job {job_id} can't go from {old.value} to {new.value}; from {old.value} it may go to {allowed}"
    )
