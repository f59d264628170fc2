"""How each job is run, resolved once at the worker's start: the options of the app, overridden by the definition's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from asyncjobs.core.retry import UNLIMITED, RetryPolicy, RetryRule
from asyncjobs.errors import DefinitionError
from asyncjobs.jobs.definition import JobDefinition, keys_of, signature_of
from asyncjobs.jobs.limits import LineKeys
from asyncjobs.jobs.signature import Signature
from asyncjobs.middleware.base import Middleware
from asyncjobs.middleware.chain import Caller, Process, overrides, processing
from asyncjobs.middleware.timeout import default_timeout_ms
from asyncjobs.worker.execution.callers import HandlerCallers
from asyncjobs.worker.execution.hooks import WorkerHooks, name_of, resolved
from asyncjobs.worker.host import WorkerHost
from asyncjobs.worker.resources.opening import WorkerResources, layer_with_resources, with_resources
from asyncjobs.worker.resources.resolving import Resolver

__all__ = ["RunPlan", "RunPlans"]


class RunPlan(msgspec.Struct, frozen=True):
    """How to run one job: its handler, and the options that hold unless a call overrides them."""

    call: Caller
    """Calls the handler of an attempt, inside its resources and the middleware."""
    signature: Signature
    keys: LineKeys
    encode_result: Callable[[Any], bytes]
    """Encodes what the handler returned."""
    retry: RetryPolicy
    rule: RetryRule | None
    """A function that decides about retries in place of ``retry``."""
    timeout_ms: int | None
    is_default_timeout: bool
    """Whether the timeout is that of a ``DefaultTimeout`` layer, not the job's own."""
    result_ttl_ms: int
    middleware: Sequence[Middleware]
    """The layers around the handler, outermost first."""
    process_slots: asyncio.Semaphore | None
    """Where an attempt takes a slot before it begins, so that it doesn't spend its timeout waiting for a process."""


class RunPlans:
    """The plan of each job, and what is around all jobs: the resources that they share, and hooks.

    Raises ``DefinitionError`` for a handler or a hook that could not be run.
    """

    def __init__(self, host: WorkerHost, callers: HandlerCallers) -> None:
        self._host = host
        self._callers = callers
        resolver = Resolver(host.overrides)
        found = {
            definition: resolver.resolve(definition.function, f"job {definition.name!r}")
            for definition in host.registry
        }
        layers = [
            (one.process, *resolver.resolve(one.process, f"the middleware {type(one).__qualname__}.process"))
            for one in host.middleware
            if overrides(one, "process")
        ]
        ended = [
            resolved(one.ended, f"the middleware {type(one).__qualname__}.ended", resolver, given=1)
            for one in reversed(host.middleware)
            if overrides(one, "ended")
        ]
        on_start = [resolved(one, f"the on_worker_start hook {name_of(one)}", resolver) for one in host.on_start]
        on_stop = [resolved(one, f"the on_worker_stop hook {name_of(one)}", resolver) for one in host.on_stop]
        #: To be opened before the first job.
        self.shared = WorkerResources(resolver.shared.values())
        self._layers: list[Process] = [
            layer_with_resources(process, arguments, needs, self.shared) if arguments else process
            for process, arguments, needs in layers
        ]
        #: Called with each job that has ended, in this order.
        self.ended = ended
        #: Called while these are open.
        self.hooks = WorkerHooks(on_start, on_stop, self.shared.values, stop_within_s=host.settings.shutdown_timeout)
        plans = {definition: self._plan(definition, *needed) for definition, needed in found.items()}
        #: By name and by alias.
        self.by_name = {name: plans[host.registry.get(name)] for name in host.registry.names()}

    def _plan(self, definition: JobDefinition[..., Any], arguments: Any, needs: Any) -> RunPlan:
        host, options = self._host, definition.options
        call = self._callers.caller_of(definition, is_wrapped=bool(self._layers))
        if arguments and options.executor == "process":
            raise DefinitionError(
                f"job {definition.name!r} runs in a process, to which {', '.join(map(repr, arguments))} can't be "
                "passed; open the resource inside the handler"
            )
        if arguments:
            call = with_resources(call, arguments, needs, self.shared)
        signature = signature_of(definition)
        retry = host.retry if options.retry is UNSET else options.retry
        result_ttl_ms = round(host.settings.result_ttl * 1000)
        own_timeout_ms = None if options.timeout_ms is UNSET else options.timeout_ms
        return RunPlan(
            call=processing(self._layers, call),
            signature=signature,
            keys=keys_of(definition),
            encode_result=signature.returns.write_result,
            retry=retry if isinstance(retry, RetryPolicy) else UNLIMITED,
            rule=None if isinstance(retry, RetryPolicy) else retry,
            timeout_ms=default_timeout_ms(host.middleware) if own_timeout_ms is None else own_timeout_ms,
            is_default_timeout=own_timeout_ms is None,
            result_ttl_ms=result_ttl_ms if options.result_ttl_ms is UNSET else options.result_ttl_ms,
            middleware=host.middleware,
            process_slots=self._callers.process_slots_of(definition),
        )
