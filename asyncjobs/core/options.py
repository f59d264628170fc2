"""The options of jobs: app < definition < call.

An option is declared here alone: what it means and what a user may give in ``JobOptions``, ``SendOptions`` or both, how
it is checked in ``_CHECKS``, and what is kept of it in ``DefinitionOptions``, ``CallOptions`` or both. Unset is a value
of its own, so that no default hides what a user set further out.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypedDict

import msgspec
from msgspec import UNSET, UnsetType

from asyncjobs.core.bounds import checked_count, shown
from asyncjobs.core.duration import Duration, to_ms, ttl_ms
from asyncjobs.core.gates import Limit, checked_limits
from asyncjobs.core.priority import Priority, PriorityName
from asyncjobs.core.record.envelope import encode
from asyncjobs.core.record.header import MAX_NAME_BYTES
from asyncjobs.core.retry import RetryPolicy, RetryRule
from asyncjobs.core.schedule import TIMING_OPTIONS, Missed, Timing, timing_of
from asyncjobs.core.uniqueness import Debounce, Unique
from asyncjobs.errors import ArgumentsError, DefinitionError, closest

__all__ = [
    "DEFAULT_QUEUE",
    "UNSET",
    "Acks",
    "CallOptions",
    "DefinitionOptions",
    "Durability",
    "Executor",
    "JobOptions",
    "SendOptions",
    "UnsetType",
    "checked_id",
    "checked_queue",
    "checked_tenant",
    "checked_text",
]

Acks = Literal["late", "early"]
"""When a job counts as taken: after its run (``late``), or before it (``early``)."""

Durability = Literal["local", "replicated"]
"""When a job counts as sent: once Redis has it (``local``), or its replicas too (``replicated``)."""

Executor = Literal["thread", "process"]
"""Where a plain handler runs."""

DEFAULT_QUEUE = "default"


class _SharedOptions(TypedDict, total=False):
    """What ``@job`` sets for all calls of a job, and ``.with_options`` for one."""

    queue: str
    """The queue that the job waits in: 1 to 100 letters, digits or any of ``.`` ``:`` ``_`` ``-``."""

    priority: Priority | PriorityName
    """How urgent the job is within its queue: ``critical``, ``high``, ``normal`` or ``low``, or a ``Priority``."""

    expires: Duration
    """How long after it is due the job may still be started; from then on it is cancelled."""

    result_ttl: Duration
    """How long the result of the job is kept; ``math.inf`` keeps it for ever."""

    acks: Acks
    """``late`` runs the job at least once. ``early`` runs it at most once: it isn't retried, and it goes to the dead
    letter queue if its worker dies or is stopped while it runs."""


class JobOptions(_SharedOptions, total=False):
    """The options of ``@job``; durations are seconds or ``timedelta``."""

    name: str | None
    """The name under which the job is queued."""

    aliases: tuple[str, ...]
    """Earlier names of the job, under which jobs may still be queued."""

    retry: RetryPolicy | RetryRule
    """When a failed job is tried again: a ``RetryPolicy``, or a function of the error and the number of failures that
    returns how long to wait, or ``None`` to give up."""

    timeout: Duration | None
    """How long one attempt may take; ``None`` sets no limit."""

    cron: str | None
    """A cron expression by which a schedule of the job's name runs it; all its parameters need defaults."""

    every: Duration | None
    """The interval at which a schedule of the job's name runs it; all its parameters need defaults."""

    timezone: str
    """The time zone of ``cron``, by its IANA name."""

    missed: Missed
    """Which ticks of the schedule still fire that came while no worker was there: the latest (``once``), none
    (``skip``), or each (``all``)."""

    overlap: bool
    """Whether a tick of the schedule fires while the job of the tick before still waits or runs; by default it does.
    With ``False`` it is skipped."""

    at_start: bool
    """Whether the schedule fires at the start of a worker too, unless one of its jobs waits or runs already."""

    every_worker: bool
    """Whether each worker process runs the job at each tick by itself, without the broker: for what belongs to the
    process, such as a cache. A run is not retried, has no result, and isn't listed."""

    executor: Executor
    """Where the handler runs. With ``thread`` an async function runs on the worker's event loop, and a plain one in a
    thread. With ``process`` either runs in a process of its own, which is killed at the timeout: for work that needs
    the CPU. The process imports the function, so it must stand at the top of its module."""

    unique: Unique | None
    """Which calls count as one, so that only the first of them makes a job: a ``Unique``."""

    debounce: Debounce | None
    """How long the job waits for its calls to calm down, to run once with the arguments of the last: a ``Debounce``."""

    limits: Limit | Sequence[Limit]
    """How many jobs of it may run at once, and start in a time: a ``Limit``, or up to four."""

    secret: Sequence[str]
    """The parameters whose values are never shown: on the command line, over HTTP and in the dashboard stands
    ``‹secret›`` in their place. They are stored as the others are. ``Secret[str]`` as the annotation does the same."""


class SendOptions(_SharedOptions, total=False):
    """The options of ``.with_options``, for one call; durations are seconds or ``timedelta``."""

    timeout: Duration
    """How long one attempt may take."""

    max_retries: int
    """How many times a failed job is tried again; the rest of its policy holds as it is."""

    metadata: Mapping[str, Any]
    """A free mapping of text to values that msgspec encodes, carried with the job and shown with it."""

    job_id: str
    """An id of your own, unique within the queue and the tenant. The same id sent twice is one job."""

    tenant: str | None
    """The id of the job's tenant, ``None`` for no tenant. By default the tenant of the ``tenant_scope``, or of the
    running job."""

    durability: Durability
    """When the job counts as sent: once Redis has it (``local``), or once its replicas have it too (``replicated``)."""


_QUEUE = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
# No control characters, and no surrogates, which UTF-8 has no bytes for.
_TENANT = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_METADATA = msgspec.msgpack.Decoder(dict[str, Any])
_ID = re.compile(r"[^\s\x00-\x1f\ud800-\udfff]{1,200}")
# Ticks are Unix milliseconds, which have so many digits from 2001 on.
_TICK_ID = re.compile(r".*@[0-9]{13,}")


def checked_queue(given: Any) -> str:
    """Return ``given``, the name of a queue.

    Raises:
        ArgumentsError: It can't be one.
    """
    if not isinstance(given, str) or not _QUEUE.fullmatch(given):
        raise ArgumentsError(f"queue={shown(given)}: expected 1 to 100 letters, digits or any of . : _ -")
    return str(given)


def checked_text(name: str, given: Any) -> str:
    """Return ``given``, text to look something up by, which need not be an id or a name that could be given.

    Args:
        name: The name of the option, for the error.
        given: What a user gave for it.

    Raises:
        ArgumentsError: It is no text that UTF-8 can hold.
    """
    # Asked of each job that passes a layer: most are ASCII, which costs no search.
    if not isinstance(given, str) or (not given.isascii() and _SURROGATE.search(given)):
        raise ArgumentsError(f"{name}={shown(given)}: expected text")
    return str(given)


def checked_id(name: str, given: Any) -> str:
    """Return ``given``, an id.

    Args:
        name: The name of the option, for the error.
        given: What a user gave for it.

    Raises:
        ArgumentsError: It can't be one.
    """
    if not isinstance(given, str) or not _ID.fullmatch(given):
        raise ArgumentsError(f"{name}={shown(given)}: expected 1 to 200 characters without white space")
    return str(given)


def _checked_job_id(given: Any) -> str:
    job_id = checked_id("job_id", given)
    if _TICK_ID.fullmatch(job_id):
        raise ArgumentsError(
            f"job_id={given!r:.80}: @ and a time in milliseconds end the id of a schedule's tick, which this job would "
            "keep from firing; end it otherwise"
        )
    return job_id


def checked_tenant(given: Any) -> str:
    """Return ``given``, the id of a tenant.

    Raises:
        ArgumentsError: It can't be one.
    """
    size = len(given.encode(errors="replace")) if isinstance(given, str) else 0
    if not 0 < size <= MAX_NAME_BYTES or not _TENANT.fullmatch(given):
        raise ArgumentsError(f"tenant={shown(given)}: expected an id, 1 to {MAX_NAME_BYTES} bytes of text")
    return str(given)


def _checked_retry(given: Any) -> Any:
    if not isinstance(given, RetryPolicy) and (not callable(given) or isinstance(given, type)):
        raise ArgumentsError(f"retry={shown(given)}: expected a RetryPolicy, or a function of error and failures")
    return given


def _checked_acks(given: Any) -> Any:
    if not isinstance(given, str) or given not in ("late", "early"):
        raise ArgumentsError(f"acks={shown(given)}: expected 'late' (at least once) or 'early' (at most once)")
    return given


def _checked_executor(given: Any) -> Any:
    if not isinstance(given, str) or given not in ("thread", "process"):
        raise ArgumentsError(f"executor={shown(given)}: expected 'thread' or 'process'")
    return given


def _checked_secret(given: Any) -> tuple[str, ...]:
    names = list(given) if isinstance(given, list | tuple | set | frozenset) else [None]
    if not all(isinstance(name, str) for name in names):
        raise ArgumentsError(f"secret={shown(given)}: expected names of parameters, as in ['card']")
    return tuple(sorted(map(str, names)))


def _checked_kind(kind: type, example: str, given: Any) -> Any:
    if not isinstance(given, kind | None):
        name = kind.__name__
        raise ArgumentsError(f"{name.lower()}={shown(given)}: expected a {name}, as in {name}({example})")
    return given


def _checked_metadata(given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ArgumentsError(f"metadata={shown(given)}: expected a mapping of names to values")
    metadata = dict(given)
    try:
        # There are mappings that msgspec writes, and then can't read.
        _METADATA.decode(encode(metadata))
    except Exception as error:
        raise ArgumentsError(
            f"metadata={shown(given)}: the metadata can't be encoded, or not be read again: {error}; expected text as "
            "names, and values that msgspec encodes"
        ) from error
    return metadata


def _checked_durability(given: Any) -> Any:
    if not isinstance(given, str) or given not in ("local", "replicated"):
        raise ArgumentsError(f"durability={shown(given)}: expected 'local' or 'replicated'")
    return given


class _Check(NamedTuple):
    """Where a checked option is kept, and the function that checks it and returns what is kept."""

    field: str
    check: Callable[[Any], Any]


def _duration(name: str, *, least_ms: int = 0) -> _Check:
    return _Check(f"{name}_ms", functools.partial(to_ms, name, least_ms=least_ms))


_CHECKS = {
    "queue": _Check("queue", checked_queue),
    "priority": _Check("priority", Priority.parse),
    "retry": _Check("retry", _checked_retry),
    "max_retries": _Check("max_retries", functools.partial(checked_count, "max_retries")),
    "timeout": _duration("timeout", least_ms=1),
    "expires": _duration("expires", least_ms=1),
    "result_ttl": _Check("result_ttl_ms", functools.partial(ttl_ms, "result_ttl")),
    "acks": _Check("acks", _checked_acks),
    "executor": _Check("executor", _checked_executor),
    "secret": _Check("secret", _checked_secret),
    "limits": _Check("limits", checked_limits),
    "unique": _Check("unique", functools.partial(_checked_kind, Unique, "by='user_id'")),
    "debounce": _Check("debounce", functools.partial(_checked_kind, Debounce, "5, by='user_id'")),
    "metadata": _Check("metadata", _checked_metadata),
    "job_id": _Check("job_id", _checked_job_id),
    "tenant": _Check("tenant", lambda given: None if given is None else checked_tenant(given)),
    "durability": _Check("durability", _checked_durability),
}

_JOB_OPTIONS = tuple(JobOptions.__annotations__)
_SEND_OPTIONS = tuple(SendOptions.__annotations__)


def _kept(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the checked values of the options that were set, by the field in which each is kept."""
    return {_CHECKS[name].field: _CHECKS[name].check(value) for name, value in given.items() if value is not UNSET}


class DefinitionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What ``@job`` sets for all calls of a job, as ``JobOptions`` describes it; times in milliseconds."""

    queue: str | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    retry: RetryPolicy | RetryRule | UnsetType = UNSET
    timeout_ms: int | UnsetType = UNSET
    """``timeout`` in milliseconds."""
    result_ttl_ms: int | UnsetType = UNSET
    """``result_ttl`` in milliseconds."""
    expires_ms: int | UnsetType = UNSET
    """``expires`` in milliseconds."""
    acks: Acks | UnsetType = UNSET
    timing: Timing | None = None
    """``cron`` or ``every``, with the other options of the schedule; ``None`` without one."""
    executor: Executor = "thread"
    limits: tuple[Limit, ...] = ()
    secret: tuple[str, ...] = ()
    unique: Unique | None = None
    debounce: Debounce | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> DefinitionOptions:
        """Return the checked form of ``given``, options as of ``JobOptions``; ``name`` and ``aliases`` are left out.

        Raises:
            DefinitionError: There is no such option.
            ArgumentsError: A value is wrong. The message names the option.
        """
        for name in given:
            if name not in _JOB_OPTIONS:
                raise DefinitionError(
                    f"@job has no option {name!r}; it has {', '.join(_JOB_OPTIONS)}.{closest(name, _JOB_OPTIONS)}"
                )
        others = {name: value for name, value in given.items() if name not in ("name", "aliases", *TIMING_OPTIONS)}
        if others.get("timeout", UNSET) is None:
            # No limit, as if it weren't set.
            del others["timeout"]
        return cls(**_kept(others), timing=timing_of(given))


class CallOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What ``.with_options`` sets for one call, as ``SendOptions`` describes it; times in milliseconds."""

    queue: str | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    max_retries: int | UnsetType = UNSET
    timeout_ms: int | UnsetType = UNSET
    """``timeout`` in milliseconds."""
    result_ttl_ms: int | UnsetType = UNSET
    """``result_ttl`` in milliseconds."""
    expires_ms: int | UnsetType = UNSET
    """``expires`` in milliseconds."""
    metadata: dict[str, Any] | UnsetType = UNSET
    job_id: str | UnsetType = UNSET
    tenant: str | UnsetType | None = UNSET
    acks: Acks | UnsetType = UNSET
    durability: Durability | UnsetType = UNSET

    def updated(self, given: Mapping[str, Any]) -> CallOptions:
        """Return the options with those of ``given``, as of ``SendOptions``, checked and in their place.

        Raises:
            ArgumentsError: There is no such option, or a value is wrong. The message names the option.
        """
        for name in given:
            if name not in _SEND_OPTIONS:
                raise ArgumentsError(
                    f"with_options has no option {name!r}; it has {', '.join(_SEND_OPTIONS)}."
                    f"{closest(name, _SEND_OPTIONS)}"
                )
        return msgspec.structs.replace(self, **_kept(given))
