"""Metrics of sending and running: counts, durations, lateness and slots in use."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider
from opentelemetry.util.types import AttributeValue

from asyncjobs import JobContext, JobHandle, JobRequest, Middleware
from asyncjobs.errors import PartlySent
from asyncjobs.middleware import CallNext, Send
from asyncjobs.telemetry import names
from asyncjobs.telemetry.outcomes import COMPLETED, error_type_of, is_asked_for, outcome_of
from asyncjobs.telemetry.propagation import DUE, due_of
from asyncjobs.telemetry.providers import Late

__all__ = ["Metrics"]

# The conventions give these, in seconds; the SDK's own are made for milliseconds.
_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
# Jobs may take longer than messages do.
_LONG_DURATIONS = (*_DURATIONS, 30.0, 60.0, 300.0, 900.0, 3600.0)
_LATENESSES = (0.001, 0.002, *_DURATIONS, 30.0, 60.0, 300.0, 3600.0)


class _Instruments(NamedTuple):
    sent: metrics.Counter
    duration: metrics.Histogram
    lateness: metrics.Histogram


class Metrics(Middleware):
    """Measures sending and running; each metric has queue and job name as attributes, and never an id.

    - ``messaging.client.sent.messages``: jobs that were sent; with ``error.type``, jobs whose sending failed.
    - ``messaging.process.duration``: seconds an attempt took, by ``asyncjobs.outcome``, with ``error.type`` if it
      failed.
    - ``asyncjobs.schedule.lateness``: seconds from when a job was due to its first start, for jobs of schedules and
      jobs sent for later. They are due by the sender's clock and start by the broker's, so clocks that differ show
      here. A job that snoozes is late by its snooze too.
    - ``asyncjobs.slots.used``: attempts that run now, by queue.

    Without an SDK nothing is measured, at next to no cost.

    Args:
        meter_provider: The global one by default, also if it is set only later.
        tenant_attribute: Whether the first two have ``asyncjobs.tenant`` as an attribute; off by default. Only for a
            handful of tenants, since each makes series of its own.

    Example:
        ```python
        app = App(middleware=[Tracing(), Metrics(), Logging()])
        ```
    """

    def __init__(self, meter_provider: MeterProvider | None = None, *, tenant_attribute: bool = False) -> None:
        self._instruments = Late(meter_provider, get_meter_provider, self._make_instruments)
        self._by_tenant = tenant_attribute
        # Counted here and read by the SDK: two calls of the SDK a job would cost more than everything else.
        self._running: dict[str, int] = {}

    def _make_instruments(self, provider: MeterProvider) -> _Instruments:
        meter = provider.get_meter(names.SCOPE, schema_url=names.SCHEMA_URL)
        meter.create_observable_up_down_counter(names.SLOTS, [self._slots], "{job}", "Attempts that run now.")
        return _Instruments(
            sent=meter.create_counter(names.SENT, "{message}", "Jobs that one tried to send."),
            duration=meter.create_histogram(
                names.PROCESS_DURATION,
                "s",
                "How long attempts took.",
                explicit_bucket_boundaries_advisory=_LONG_DURATIONS,
            ),
            lateness=meter.create_histogram(
                names.LATENESS,
                "s",
                "From when a job sent for later was due to its first start.",
                explicit_bucket_boundaries_advisory=_LATENESSES,
            ),
        )

    def _slots(self, options: CallbackOptions) -> Iterable[Observation]:
        for queue, count in self._running.copy().items():
            yield Observation(count, {names.SYSTEM: names.SYSTEM_NAME, names.DESTINATION: queue})

    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> list[JobHandle[Any]]:
        instruments = self._instruments.get()
        if instruments is None:
            return await send(requests)
        requests = [_with_due(request) for request in requests]
        try:
            handles = await send(requests)
        except PartlySent as error:
            accepted = len(error.sent)
            self._count(instruments, requests[:accepted])
            self._count(instruments, requests[accepted:], error.__cause__ or error)
            raise
        except BaseException as error:
            self._count(instruments, requests, error)
            raise
        self._count(instruments, requests)
        return handles

    def _count(
        self, instruments: _Instruments, requests: Sequence[JobRequest[Any]], error: BaseException | None = None
    ) -> None:
        error_type = "" if error is None else error_type_of(error)
        by_tenant = self._by_tenant
        counts = Counter(
            (request.queue, request.name, request.options.tenant or "" if by_tenant else "") for request in requests
        )
        for (queue, name, tenant), count in counts.items():
            instruments.sent.add(count, _attributes(names.SEND, queue, name, "", error_type, tenant))

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        instruments = self._instruments.get()
        if instruments is None:
            return await call_next(job)
        if job.attempt == 1:
            _record_lateness(instruments, job)
        running = self._running
        running[job.queue] = running.get(job.queue, 0) + 1
        outcome, error_type = COMPLETED, ""
        began = time.perf_counter()
        try:
            return await call_next(job)
        except BaseException as error:
            outcome = outcome_of(error)
            error_type = "" if is_asked_for(error) else error_type_of(error)
            raise
        finally:
            took = time.perf_counter() - began
            running[job.queue] -= 1
            tenant = job.tenant or "" if self._by_tenant else ""
            attributes = _attributes(names.PROCESS, job.queue, job.name, outcome, error_type, tenant)
            instruments.duration.record(took, attributes)


def _with_due(request: JobRequest[Any]) -> JobRequest[Any]:
    if DUE in request.headers:
        return request
    due_ms = due_of(request)
    return request if due_ms is None else request.with_headers({DUE: str(due_ms)})


def _record_lateness(instruments: _Instruments, job: JobContext) -> None:
    due_ms = _due_ms(job)
    started_at_ms = job.record.started_at_ms
    # A job with errors was revived from the dead letter queue, where it has no due time.
    if due_ms is not None and started_at_ms is not None and not job.record.errors:
        # By the clocks of the sender and of the broker, so it may seem to be due in the future.
        late = max(0, started_at_ms - due_ms) / 1000
        instruments.lateness.record(late, _attributes(names.PROCESS, job.queue, job.name, "", "", ""))


def _due_ms(job: JobContext) -> int | None:
    due = job.headers.get(DUE)
    if due is not None:
        return int(due)
    tick = job.tick
    return None if tick is None else round(tick.timestamp() * 1000)


# Made once for each combination, not for each job; the SDK only reads them.
@functools.lru_cache(maxsize=1024)
def _attributes(
    operation: str, queue: str, name: str, outcome: str, error_type: str, tenant: str
) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        names.SYSTEM: names.SYSTEM_NAME,
        names.OPERATION: operation,
        names.DESTINATION: queue,
        names.JOB_NAME: name,
    }
    optional = {names.OUTCOME: outcome, names.ERROR_TYPE: error_type, names.TENANT: tenant}
    return attributes | {key: value for key, value in optional.items() if value}
