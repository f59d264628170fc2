"""The options of jobs: app < definition < call.

Unset is a value of its own, so that no default hides what a user set further out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from asyncjobs.core.duration import Duration, to_ms
from asyncjobs.core.priority import Priority, PriorityName
from asyncjobs.core.record.header import MAX_NAME_BYTES
from asyncjobs.core.retry import RetryPolicy, RetryRule
from asyncjobs.core.schedule import Missed, Timing
from asyncjobs.errors import ArgumentsError

__all__ = [
    "DEFAULT_QUEUE",
    "UNSET",
    "Acks",
    "CallOptions",
    "DefinitionOptions",
    "Durability",
    "Executor",
    "UnsetType",
    "checked_id",
    "checked_queue",
    "checked_tenant",
    "merged",
]

Acks = Literal["late", "early"]
Durability = Literal["local", "replicated"]
Executor = Literal["thread", "process"]

DEFAULT_QUEUE = "default"

_QUEUE = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
# No control characters, and no surrogates, which UTF-8 has no bytes for.
_TENANT = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")
_ID = re.compile(r"[^\s\x00-\x1f]{1,200}")


def checked_queue(given: Any) -> str:
    """Return ``given`` if it can name a queue; raise ``ArgumentsError`` if not."""
    if not isinstance(given, str) or not _QUEUE.fullmatch(given):
        raise ArgumentsError(f"queue={given!r}: expected 1 to 100 letters, digits or any of . : _ -")
    return given


def checked_id(name: str, given: Any) -> str:
    """Return ``given`` if it can be an id; raise ``ArgumentsError``, naming the option ``name``, if not."""
    if not isinstance(given, str) or not _ID.fullmatch(given):
        raise ArgumentsError(f"{name}={given!r:.80}: expected 1 to 200 characters without white space")
    return given


def checked_tenant(given: Any) -> str:
    """Return ``given`` if it can be the id of a tenant; raise ``ArgumentsError`` if not."""
    size = len(given.encode(errors="replace")) if isinstance(given, str) else 0
    if not 0 < size <= MAX_NAME_BYTES or not _TENANT.fullmatch(given):
        raise ArgumentsError(f"tenant={given!r:.80}: expected an id, 1 to {MAX_NAME_BYTES} bytes of text")
    return str(given)


def _checked_acks(given: Acks | UnsetType) -> Acks | UnsetType:
    if given is not UNSET and given not in ("late", "early"):
        raise ArgumentsError(f"acks={given!r}: expected 'late' (at least once) or 'early' (at most once)")
    return given


class DefinitionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What ``@job`` sets for all calls of a job; times in milliseconds."""

    queue: str | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    retry: RetryPolicy | RetryRule | UnsetType = UNSET
    timeout_ms: int | UnsetType | None = UNSET
    result_ttl_ms: int | UnsetType = UNSET
    expires_ms: int | UnsetType = UNSET
    acks: Acks | UnsetType = UNSET
    timing: Timing | None = None
    executor: Executor = "thread"

    @classmethod
    def of(
        cls,
        *,
        queue: str | UnsetType = UNSET,
        priority: Priority | PriorityName | UnsetType = UNSET,
        retry: RetryPolicy | RetryRule | UnsetType = UNSET,
        timeout: Duration | UnsetType | None = UNSET,
        result_ttl: Duration | UnsetType = UNSET,
        expires: Duration | UnsetType = UNSET,
        acks: Acks | UnsetType = UNSET,
        cron: str | None = None,
        every: Duration | None = None,
        timezone: str = "UTC",
        missed: Missed = "once",
        executor: Executor = "thread",
    ) -> DefinitionOptions:
        """Check what a user gave; raise ``ArgumentsError`` that names the option."""
        if (
            retry is not UNSET
            and not isinstance(retry, RetryPolicy)
            and (not callable(retry) or isinstance(retry, type))
        ):
            raise ArgumentsError(f"retry={retry!r}: expected a RetryPolicy, or a function of error and failures")
        if executor not in ("thread", "process"):
            raise ArgumentsError(f"executor={executor!r}: expected 'thread' or 'process'")
        return cls(
            queue=queue if queue is UNSET else checked_queue(queue),
            priority=priority if isinstance(priority, UnsetType) else Priority.parse(priority),
            retry=retry,
            timeout_ms=timeout if timeout is UNSET or timeout is None else to_ms("timeout", timeout, least_ms=1),
            result_ttl_ms=result_ttl if result_ttl is UNSET else to_ms("result_ttl", result_ttl),
            expires_ms=expires if expires is UNSET else to_ms("expires", expires, least_ms=1),
            acks=_checked_acks(acks),
            timing=None if cron is None and every is None else _timing(cron, every, timezone, missed),
            executor=executor,
        )


def _timing(cron: str | None, every: Duration | None, timezone: str, missed: Missed) -> Timing:
    every_ms = None if every is None else to_ms("every", every, least_ms=1_000)
    return Timing.of(cron=cron, every_ms=every_ms, timezone=timezone, missed=missed)


class CallOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What ``.with_options`` sets for one call; times in milliseconds."""

    queue: str | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    max_retries: int | UnsetType = UNSET
    timeout_ms: int | UnsetType = UNSET
    result_ttl_ms: int | UnsetType = UNSET
    expires_ms: int | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    job_id: str | UnsetType = UNSET
    tenant: str | UnsetType | None = UNSET
    acks: Acks | UnsetType = UNSET
    durability: Durability | UnsetType = UNSET

    @classmethod
    def of(
        cls,
        *,
        queue: str | UnsetType = UNSET,
        priority: Priority | PriorityName | UnsetType = UNSET,
        max_retries: int | UnsetType = UNSET,
        timeout: Duration | UnsetType = UNSET,
        result_ttl: Duration | UnsetType = UNSET,
        expires: Duration | UnsetType = UNSET,
        metadata: Mapping[str, Any] | UnsetType = UNSET,
        job_id: str | UnsetType = UNSET,
        tenant: str | UnsetType | None = UNSET,
        acks: Acks | UnsetType = UNSET,
        durability: Durability | UnsetType = UNSET,
    ) -> CallOptions:
        """Check what a user gave; raise ``ArgumentsError`` that names the option."""
        if max_retries is not UNSET and (
            isinstance(max_retries, bool) or not isinstance(max_retries, int) or max_retries < 0
        ):
            raise ArgumentsError(f"max_retries={max_retries!r}: expected a whole number, 0 or more")
        if metadata is not UNSET and not isinstance(metadata, Mapping):
            raise ArgumentsError(f"metadata={metadata!r:.80}: expected a mapping of names to values")
        if durability is not UNSET and durability not in ("local", "replicated"):
            raise ArgumentsError(f"durability={durability!r}: expected 'local' or 'replicated'")
        if job_id is not UNSET:
            checked_id("job_id", job_id)
        return cls(
            queue=queue if queue is UNSET else checked_queue(queue),
            priority=priority if isinstance(priority, UnsetType) else Priority.parse(priority),
            max_retries=max_retries,
            timeout_ms=timeout if timeout is UNSET else to_ms("timeout", timeout, least_ms=1),
            result_ttl_ms=result_ttl if result_ttl is UNSET else to_ms("result_ttl", result_ttl),
            expires_ms=expires if expires is UNSET else to_ms("expires", expires, least_ms=1),
            metadata=metadata if isinstance(metadata, UnsetType) else dict(metadata),
            job_id=job_id,
            tenant=tenant if tenant is UNSET or tenant is None else checked_tenant(tenant),
            acks=_checked_acks(acks),
            durability=durability,
        )


def merged(options: CallOptions, later: CallOptions) -> CallOptions:
    """Return ``options`` with those replaced that ``later`` sets."""
    changes = {name: value for name in CallOptions.__struct_fields__ if (value := getattr(later, name)) is not UNSET}
    return msgspec.structs.replace(options, **changes)
