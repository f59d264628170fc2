"""What has happened to one job, in order, and its tracebacks with the frames of packages folded. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from asyncjobs.core.grouping import is_foreign
from asyncjobs.core.view import JobDetails

__all__ = ["Part", "Step", "parts_of", "timeline"]

_FRAME = re.compile(r'^[ |]*File "(.+)", line \d+')
_INDENTED = re.compile(r"^[ |]")


class Step(NamedTuple):
    """One thing that has happened to a job, or is to happen."""

    mark: str
    """``sent``, ``failed``, ``completed``, ``cancelled``, ``running``, ``dead``, ``gap`` or ``due``."""
    text: str
    """What, in words."""
    at: datetime | None
    """When; ``None`` where that isn't known."""
    wait_ms: float | None = None
    """How long the job waited before it, in milliseconds."""
    ran_ms: float | None = None
    """How long it took, in milliseconds."""


class Part(NamedTuple):
    """Some lines of a traceback."""

    is_own: bool
    """Whether they are of the program's own code, and not of installed packages."""
    text: str
    """The lines."""
    frames: int
    """How many frames there are among them."""


def timeline(job: JobDetails) -> list[Step]:
    """Return what has happened to ``job``, oldest first."""
    steps = [Step("sent", "sent", job.created_at)]
    last, number = job.created_at, 0
    for error in job.errors:
        if error.attempt > number + 1:
            missing = error.attempt - number - 1
            steps.append(Step("gap", f"{missing} attempts of which nothing is kept", None))
        began = error.started_at
        # Clocks of senders differ, and what is between two attempts may be unknown.
        wait_ms = None if began is None or error.attempt > number + 1 else _ms(last, began)
        ran_ms = None if began is None else _ms(began, error.at)
        steps.append(Step("failed", f"attempt {error.attempt}: {error.type}", error.at, wait_ms, ran_ms))
        last, number = error.at, error.attempt
    steps += _end(job, last)
    return steps


def _end(job: JobDetails, last: datetime) -> Iterator[Step]:
    began, ended = job.started_at, job.finished_at
    wait_ms = None if began is None or began < last else _ms(last, began)
    if job.state == "running":
        yield Step("running", f"attempt {job.attempt} runs", began, wait_ms, job.duration_ms)
    elif job.state == "completed":
        yield Step("completed", f"attempt {job.attempt} completed", ended, wait_ms, job.duration_ms)
    elif job.state == "cancelled":
        yield Step("cancelled", "cancelled", ended)
    elif job.state == "failed":
        yield Step("dead", "dead", ended)
    elif job.due_at is not None:
        yield Step("due", f"attempt {job.attempt} may start", job.due_at)


def _ms(since: datetime, until: datetime) -> float | None:
    """Return the time between; ``None`` where clocks that differ make it less than none."""
    ms = (until - since).total_seconds() * 1000
    return ms if ms >= 0 else None


def parts_of(traceback: str) -> list[Part]:
    """Return a traceback in parts: runs of frames of installed packages, and what stands between them."""
    parts: list[Part] = []
    lines: list[str] = []
    is_own, frames = True, 0

    def close() -> None:
        if lines:
            parts.append(Part(is_own, "\n".join(lines), frames))
            lines.clear()

    for line in traceback.rstrip("\n").split("\n"):
        frame = _FRAME.match(line)
        if frame is not None or not _INDENTED.match(line):
            is_now_own = frame is None or not is_foreign(frame[1])
            if is_now_own != is_own:
                close()
                is_own, frames = is_now_own, 0
            frames += frame is not None
        lines.append(line)
    close()
    # Where all of it is of packages, nothing is to be folded.
    return parts if any(part.is_own and part.frames for part in parts) else [Part(True, traceback.rstrip("\n"), 0)]
