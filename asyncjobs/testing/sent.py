"""Jobs that were sent under the test kit, as tests look for them, and as failed assertions show them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from asyncjobs.core.duration import utc_time
from asyncjobs.core.priority import Priority
from asyncjobs.core.stored import read_live
from asyncjobs.errors import ArgumentsError, UnknownJobName
from asyncjobs.jobs.definition import JobDefinition, signature_of
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.values.codec import ANY
from asyncjobs.testing.broker import Record

if TYPE_CHECKING:
    from asyncjobs.app.app import App

__all__ = ["Call", "SentJob", "listing", "sent_job"]

R_co = TypeVar("R_co", covariant=True)

_MAX_SHOWN = 20
_MAX_VALUE = 200


@dataclass(frozen=True, slots=True)
class SentJob(Generic[R_co]):
    """A job that was sent under the test kit, as its worker would get it."""

    name: str
    """The job name."""
    arguments: dict[str, Any]
    """The arguments by the names of the handler's parameters, with defaults: encoded, and decoded again."""
    queue: str
    """The queue that it was sent to."""
    priority: str
    """``critical``, ``high``, ``normal`` or ``low``."""
    tenant: str | None
    """The id of its tenant; ``None`` without one."""
    metadata: dict[str, Any]
    """What ``with_options(metadata=…)`` gave."""
    headers: dict[str, str]
    """What middleware sends along."""
    sent_at: datetime
    """When it was sent, in UTC, by the clock of the kit."""
    due_at: datetime | None
    """When it may start, in UTC; ``None`` for at once."""
    handle: JobHandle[R_co] = field(repr=False, compare=False)
    """The handle of the job, for its state and its result."""

    @property
    def id(self) -> str:
        """The job's id; with its tenant, as in ``@acme:invoice-7``."""
        return self.handle.id

    def __str__(self) -> str:
        parts = [_call(self.name, self.arguments)]
        if self.queue != "default":
            parts.append(f"in queue {self.queue!r}")
        if self.priority != "normal":
            parts.append(f"with priority {self.priority}")
        if self.tenant is not None:
            parts.append(f"for tenant {self.tenant!r}")
        if self.due_at is not None:
            parts.append(f"due in {(self.due_at - self.sent_at).total_seconds():g} s")
        return ", ".join(parts)


def sent_job(record: Record, app: App, lookup: Any) -> SentJob[Any]:
    """Return a job that was sent; where ``app`` doesn't know it, with its arguments as plain data."""
    new, at_ms = record
    job = read_live(new, new.body, b"")
    if app._encryption is not None:
        job = app._encryption.readable(job)
    envelope = job.envelope
    returns = ANY
    try:
        signature = signature_of(app.registry.get(new.name))
    except UnknownJobName:
        arguments = job.named_arguments
    else:
        arguments = signature.bound(*signature.decode(envelope.arguments, envelope.keywords))
        returns = signature.returns
    due_at_ms = at_ms + new.delay_ms if new.due_at_ms is None else new.due_at_ms
    return SentJob(
        name=new.name,
        arguments=arguments,
        queue=new.queue,
        priority=Priority(new.priority).label,
        tenant=new.tenant or None,
        metadata=envelope.metadata,
        headers=envelope.headers,
        sent_at=utc_time(at_ms),
        due_at=utc_time(due_at_ms) if due_at_ms > at_ms else None,
        handle=JobHandle(lookup, new.queue, new.id, returns=returns, sent=True),
    )


class Call:
    """What a test looks for: the sent jobs of a definition, or those with given arguments.

    Args:
        job: The definition.
        args: The positional arguments.
        kwargs: The keyword arguments; without both, any arguments will do.

    Raises:
        ArgumentsError: The handler can't be called so.
    """

    def __init__(self, job: JobDefinition[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._job = job
        self._wanted: list[dict[str, Any]] = []
        if args or kwargs:
            signature = signature_of(job)
            self._wanted.append(signature.bound(args, dict(kwargs)))
            try:
                # As they would arrive: a tuple as a list, say.
                self._wanted.append(signature.bound(*signature.decode(*_raw(signature.encode(args, kwargs)))))
            except ArgumentsError:
                # Something that compares as equal to others, such as ``unittest.mock.ANY``.
                pass

    def __str__(self) -> str:
        return _call(self._job.name, self._wanted[0]) if self._wanted else self._job.name

    def is_of(self, sent: SentJob[Any]) -> bool:
        """Return whether ``sent`` is a job of the definition."""
        return sent.name == self._job.name or sent.name in self._job.aliases

    def matches(self, sent: SentJob[Any]) -> bool:
        """Return whether ``sent`` is looked for."""
        if not self.is_of(sent):
            return False
        return not self._wanted or any(_equal(wanted, sent.arguments) for wanted in self._wanted)

    def likeness(self, sent: SentJob[Any]) -> float:
        """Return a number that is the greater, the more ``sent`` is like what is looked for."""
        return self.is_of(sent) + difflib.SequenceMatcher(None, str(self), _call(sent.name, sent.arguments)).ratio()


def listing(jobs: Sequence[SentJob[Any]], call: Call | None = None) -> str:
    """Return ``jobs`` as lines for an error, those that are most like ``call`` first."""
    if not jobs:
        return "No job was sent."
    if call is not None:
        jobs = sorted(jobs, key=call.likeness, reverse=True)
    lines = [f"  {one}" for one in jobs[:_MAX_SHOWN]]
    if len(jobs) > _MAX_SHOWN:
        lines.append(f"  and {len(jobs) - _MAX_SHOWN} more")
    return "\n".join(["Sent were:", *lines])


def _raw(encoded: tuple[bytes, tuple[str, ...]]) -> tuple[msgspec.Raw, tuple[str, ...]]:
    return msgspec.Raw(encoded[0]), encoded[1]


def _equal(wanted: dict[str, Any], found: dict[str, Any]) -> bool:
    try:
        return bool(wanted == found)
    except Exception:
        # There are objects that can't be compared, such as arrays.
        return False


def _call(name: str, arguments: Mapping[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={_shown(value)}' for key, value in arguments.items())})"


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:
        return f"<{type(value).__qualname__}>"
    return text if len(text) <= _MAX_VALUE else text[:_MAX_VALUE] + "…"
