"""Spans: one where jobs are sent, one for each attempt, in one trace or linked to each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NoOpTracer,
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    TracerProvider,
    get_current_span,
    get_tracer_provider,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from asyncjobs import JobContext, JobHandle, JobRequest, Middleware
from asyncjobs.middleware import CallNext, Send
from asyncjobs.telemetry import names
from asyncjobs.telemetry.outcomes import COMPLETED, error_type_of, is_asked_for, outcome_of
from asyncjobs.telemetry.propagation import DUE, due_of, has_context, headers_of, received
from asyncjobs.telemetry.providers import Late

__all__ = ["Tracing"]


class Tracing(Middleware):
    """Traces jobs from their sender, through their attempts, to the jobs that these send.

    Sending: a span ``send <queue>``, one for all jobs of an ``enqueue_many``. Its context and the baggage go along in
    the headers of each job.

    Running: a span ``process <queue>`` for each attempt, always linked to the sender's. The span of a first attempt is
    also the sender's child if the job was to start at once. Later attempts, and jobs sent for later, begin a trace of
    their own, since the sender's is long over. Handlers run in the sender's baggage.

    Without an SDK nothing is added to a job; a context that the program was given is passed on.

    Args:
        tracer_provider: The global one by default, also if it is set only later.

    Example:
        First, so that what the other layers do is in its spans:

        ```python
        app = App(middleware=[Tracing(), Metrics(), Logging()])
        ```
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._tracer: Late[TracerProvider, Tracer] = Late(tracer_provider, get_tracer_provider, _make_tracer)

    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> list[JobHandle[Any]]:
        tracer = self._tracer.get()
        if tracer is None:
            # Empty unless the program itself was given a context.
            context = get_current()
            return await send(_stamped(requests, context) if context else requests)
        if not requests:
            return await send(requests)
        span = _sending_span(tracer, requests)
        context = set_span_in_context(span)
        token = attach(context)
        try:
            return await send(_stamped(requests, context))
        except BaseException as error:
            _note_failure(span, error)
            raise
        finally:
            detach(token)
            span.end()

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        tracer = self._tracer.get()
        if tracer is None and not has_context(job.headers):
            return await call_next(job)
        context = received(job.headers)
        span: Span = INVALID_SPAN
        if tracer is not None:
            span = _processing_span(tracer, job, context)
            context = set_span_in_context(span, context)
        token = attach(context)
        try:
            value = await call_next(job)
        except BaseException as error:
            span.set_attribute(names.OUTCOME, outcome_of(error))
            if is_asked_for(error):
                _note_wish(span, error)
            else:
                _note_failure(span, error)
            raise
        else:
            span.set_attribute(names.OUTCOME, COMPLETED)
            return value
        finally:
            detach(token)
            span.end()


def _make_tracer(provider: TracerProvider) -> Tracer | None:
    tracer = provider.get_tracer(names.SCOPE, schema_url=names.SCHEMA_URL)
    # An SDK that is switched off (OTEL_SDK_DISABLED) gives out tracers that do nothing.
    return None if isinstance(tracer, NoOpTracer) else tracer


def _stamped(requests: Sequence[JobRequest[Any]], context: Context) -> Sequence[JobRequest[Any]]:
    """Return ``requests`` with the headers of ``context``, and when they are due."""
    carried = headers_of(context)
    if not carried:
        return requests
    stamped = []
    for request in requests:
        due_ms = due_of(request)
        stamped.append(request.with_headers(carried if due_ms is None else {**carried, DUE: str(due_ms)}))
    return stamped


def _sending_span(tracer: Tracer, requests: Sequence[JobRequest[Any]]) -> Span:
    first = requests[0]
    name = names.SEND
    attributes: dict[str, AttributeValue] = {
        names.SYSTEM: names.SYSTEM_NAME,
        names.OPERATION: names.SEND,
        names.OPERATION_TYPE: names.SEND,
    }
    if all(request.queue == first.queue for request in requests):
        name = f"{names.SEND} {first.queue}"
        attributes[names.DESTINATION] = first.queue
    if all(request.name == first.name for request in requests):
        attributes[names.JOB_NAME] = first.name
    if len(requests) > 1:
        attributes[names.BATCH_COUNT] = len(requests)
    else:
        attributes[names.MESSAGE_ID] = first.id
    # The conventions: PRODUCER, because the context of this very span goes along with the messages.
    return tracer.start_span(name, kind=SpanKind.PRODUCER, attributes=attributes)


def _processing_span(tracer: Tracer, job: JobContext, sent: Context) -> Span:
    sender = get_current_span(sent).get_span_context()
    # A job with errors whose attempts count from 1 again was revived from the dead letter queue.
    is_first = job.attempt == 1 and not job.record.errors
    is_direct = is_first and DUE not in job.headers and job.schedule is None
    attributes: dict[str, AttributeValue] = {
        names.SYSTEM: names.SYSTEM_NAME,
        names.OPERATION: names.PROCESS,
        names.OPERATION_TYPE: names.PROCESS,
        names.DESTINATION: job.queue,
        names.MESSAGE_ID: job.id,
        names.JOB_NAME: job.name,
        names.ATTEMPT: job.attempt,
        names.PRIORITY: job.priority,
    }
    if job.tenant is not None:
        attributes[names.TENANT] = job.tenant
    if job.schedule is not None:
        attributes[names.SCHEDULE] = job.schedule
    return tracer.start_span(
        f"{names.PROCESS} {job.queue}",
        context=sent if is_direct else Context(),
        kind=SpanKind.CONSUMER,
        attributes=attributes,
        links=[Link(sender)] if sender.is_valid else [],
    )


def _note_failure(span: Span, error: BaseException) -> None:
    span.record_exception(error)
    span.set_attribute(names.ERROR_TYPE, error_type_of(error))
    span.set_status(StatusCode.ERROR, f"{type(error).__qualname__}: {error}")


def _note_wish(span: Span, wish: BaseException) -> None:
    """Note why a handler steered its job, and the error that it, or a layer, made this of."""
    span.set_attribute(names.REASON, str(wish))
    if wish.__cause__ is not None:
        span.record_exception(wish.__cause__)
