"""What travels in a job's headers: W3C trace context, capped baggage, and when a job sent for later is due."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from opentelemetry.baggage import get_all
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from asyncjobs import JobRequest

__all__ = ["DUE", "MAX_BAGGAGE_BYTES", "MAX_BAGGAGE_ENTRIES", "due_of", "has_context", "headers_of", "received"]

_log = logging.getLogger("asyncjobs.telemetry")

#: When a job that was sent for later is due, in Unix milliseconds.
DUE = "due"

#: Baggage is stored with each job and sent on by its children, so no more of it goes along than this.
MAX_BAGGAGE_ENTRIES = 8
MAX_BAGGAGE_BYTES = 1_024

_TRACE = "traceparent"
_BAGGAGE = "baggage"

# Those of the W3C, whatever OTEL_PROPAGATORS names: sender and worker needn't be configured alike.
_trace_context = TraceContextTextMapPropagator()
_baggage = W3CBaggagePropagator()


def headers_of(context: Context) -> dict[str, str]:
    """Return the headers that carry the span and the baggage of ``context``; empty if it has neither.

    The first entries of the baggage that fit are taken; an entry that doesn't fit is left out whole.
    """
    headers: dict[str, str] = {}
    _trace_context.inject(headers, context)
    if entries := get_all(context):
        kept = _kept(entries)
        if kept:
            headers[_BAGGAGE] = kept
    return headers


def _kept(entries: Mapping[str, object]) -> str:
    kept: list[str] = []
    room = MAX_BAGGAGE_BYTES
    for key, value in entries.items():
        entry = f"{quote(key, safe='')}={quote(str(value), safe='')}"
        comma = 1 if kept else 0
        if len(kept) < MAX_BAGGAGE_ENTRIES and len(entry) + comma <= room:
            kept.append(entry)
            room -= len(entry) + comma
        else:
            # Names only: values may be personal.
            _log.debug("the baggage entry %r doesn't go along: at most 8 entries and 1,024 bytes do", key)
    return ",".join(kept)


def due_of(request: JobRequest[Any]) -> int | None:
    """Return when ``request`` is due, in Unix milliseconds by this process's clock; ``None`` if at once."""
    if request.due_at_ms is not None:
        return request.due_at_ms
    return time.time_ns() // 1_000_000 + request.delay_ms if request.delay_ms else None


def has_context(headers: Mapping[str, str]) -> bool:
    """Return whether ``headers`` carry a span or baggage."""
    return _TRACE in headers or _BAGGAGE in headers


def received(headers: Mapping[str, str]) -> Context:
    """Return a context with the span and the baggage of ``headers``, and nothing else.

    The context in which the worker was started stays out of it: a job belongs to the trace of its sender.
    """
    context = _trace_context.extract(headers, Context())
    return _baggage.extract(headers, context) if _BAGGAGE in headers else context
