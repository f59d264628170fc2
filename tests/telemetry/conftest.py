"""What was told to the SDK, kept in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Spans:
    """A tracer provider of its own, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def all(self) -> list[ReadableSpan]:
        """All spans, in the order in which they began."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all() if span.name == name]

    def one(self, name: str, **attributes: Any) -> ReadableSpan:
        """The one span of this name whose ``asyncjobs.job.<key>`` is as given."""
        [span] = [
            span
            for span in self.named(name)
            if all((span.attributes or {}).get(f"asyncjobs.job.{key}") == value for key, value in attributes.items())
        ]
        return span


class Measured:
    """A meter provider of its own, and what was measured so far."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider(metric_readers=[self._reader])

    def all(self) -> dict[str, list[Any]]:
        """The data points by metric."""
        data = self._reader.get_metrics_data()
        found: dict[str, list[Any]] = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found.setdefault(metric.name, []).extend(metric.data.data_points)
        return found

    def points(self, name: str, **attributes: Any) -> list[Any]:
        """The points of a metric whose attributes, without their prefixes and dots, are as given."""
        return [
            point
            for point in self.all().get(name, [])
            if all(point.attributes.get(KEYS[key]) == value for key, value in attributes.items())
        ]


KEYS = {
    "queue": "messaging.destination.name",
    "operation": "messaging.operation.name",
    "error_type": "error.type",
    "job": "asyncjobs.job.name",
    "outcome": "asyncjobs.outcome",
    "state": "asyncjobs.state",
    "tenant": "asyncjobs.tenant",
}


@pytest.fixture
def spans() -> Iterator[Spans]:
    made = Spans()
    yield made
    made.provider.shutdown()


@pytest.fixture
def measured() -> Iterator[Measured]:
    made = Measured()
    yield made
    made.provider.shutdown()
