"""How each job is run, resolved once at the worker's start: app < definition; the call's options come with the job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from asyncjobs.core.retry import UNLIMITED, RetryPolicy, RetryRule
from asyncjobs.definition import JobDefinition
from asyncjobs.signature import Signature
from asyncjobs.worker.host import WorkerHost

__all__ = ["RunPlan", "plans_of"]


class RunPlan(msgspec.Struct, frozen=True):
    """One job's handler and the options that hold for it; times in milliseconds.

    ``rule``: the function that decides about retries in place of ``retry``, if the job has one.
    """

    name: str
    function: Callable[..., Any]
    is_async: bool
    signature: Signature
    retry: RetryPolicy
    rule: RetryRule | None
    timeout_ms: int | None
    result_ttl_ms: int


def plans_of(host: WorkerHost) -> dict[str, RunPlan]:
    """Return the plan for each name and alias; raise ``DefinitionError`` for a handler that could not be run."""
    return {name: _plan(host, host.registry.get(name)) for name in host.registry.names()}


def _plan(host: WorkerHost, definition: JobDefinition[..., Any]) -> RunPlan:
    options = definition.options
    result_ttl_ms = round(host.settings.result_ttl * 1000)
    retry = host.retry if options.retry is UNSET else options.retry
    return RunPlan(
        name=definition.name,
        function=definition.function,
        is_async=definition.is_async,
        signature=definition.signature,
        retry=retry if isinstance(retry, RetryPolicy) else UNLIMITED,
        rule=None if isinstance(retry, RetryPolicy) else retry,
        timeout_ms=None if options.timeout_ms is UNSET else options.timeout_ms,
        result_ttl_ms=result_ttl_ms if options.result_ttl_ms is UNSET else options.result_ttl_ms,
    )
