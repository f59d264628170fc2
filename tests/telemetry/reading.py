"""What tests read from a span."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["attributes_of", "linked", "parent_of", "trace_of"]


def trace_of(span: ReadableSpan) -> int:
    trace_id: int = span.context.trace_id
    return trace_id


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def linked(span: ReadableSpan) -> list[int]:
    return [link.context.span_id for link in span.links]


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})
