"""A trace over two jobs, printed: `python examples/telemetry.py`.

It needs no server. With `opentelemetry-sdk` installed it prints the spans and what was measured; without it the jobs
run just the same.
"""

from __future__ import annotations

import asyncio

from asyncjobs import App
from asyncjobs.telemetry import Metrics, Tracing

app = App("memory://", middleware=[Tracing(), Metrics()])


@app.job(queue="emails")
async def confirm(address: str) -> str:
    return f"confirmed to {address}"


@app.job(queue="orders")
async def place_order(number: int, address: str) -> str:
    # Sent inside a job: a child in the same trace.
    return (await confirm.delay(address)).id


async def main() -> None:
    async with app, app.worker(queues=["orders", "emails"]):
        confirmation = await (await place_order.delay(1007, "ada@example.com")).result(timeout=10)
        print(await app.handle(confirmation, queue="emails").result(timeout=10))


def set_up() -> bool:
    """Print spans and metrics to the terminal; return whether the SDK is there."""
    try:
        from opentelemetry import metrics, trace
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricsData, PeriodicExportingMetricReader
        from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
    except ImportError:
        return False

    def span_line(span: ReadableSpan) -> str:
        took_ms = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
        trace_id = span.context.trace_id if span.context else 0
        return f"trace {trace_id:032x}  {span.name:16} {took_ms:6.2f} ms\n"

    def metric_lines(data: MetricsData) -> str:
        return "".join(
            f"{metric.name}: {len(metric.data.data_points)} series\n"
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        )

    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=span_line)))
    trace.set_tracer_provider(tracers)
    # Read every minute, and at the end of the program.
    reader = PeriodicExportingMetricReader(ConsoleMetricExporter(formatter=metric_lines))
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
    return True


if __name__ == "__main__":
    if not set_up():
        print("opentelemetry-sdk isn't installed: the jobs run without telemetry")
    asyncio.run(main())
