"""What telemetry costs a job: `python -m benchmarks.telemetry`; no server, the chain of middleware alone.

Each side is driven in a loop around a call that does nothing: without middleware, with a layer that passes on, with
`Tracing()` and `Metrics()` on the API alone, and with both on an SDK that keeps its spans in memory. The variants take
turns, and the figure is the median of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from asyncjobs.core.job import create_job, start_job
from asyncjobs.core.options import CallOptions, DefinitionOptions
from asyncjobs.core.priority import Priority
from asyncjobs.core.record.envelope import Envelope
from asyncjobs.jobs.context import JobContext
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.ids import new_id
from asyncjobs.jobs.request import Dispatcher, JobRequest
from asyncjobs.middleware.base import CallNext, Middleware, Send
from asyncjobs.middleware.chain import processing, sending
from asyncjobs.telemetry import Metrics, Tracing

Side = Callable[[int], Awaitable[float]]

BULK = 1_000


class PassOn(Middleware):
    """A layer that does nothing, on both sides: what any layer costs."""

    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> list[JobHandle[Any]]:
        return await send(requests)

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        return await call_next(job)


class Kept:
    """Providers of an SDK that keeps what it is told; `forget` empties it between rounds."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider(metric_readers=[InMemoryMetricReader()])

    def layers(self) -> list[Middleware]:
        return [Tracing(self.tracers), Metrics(self.meters)]

    def forget(self) -> None:
        self._exporter.clear()


async def _send(requests: Sequence[JobRequest[Any]]) -> list[JobHandle[Any]]:
    # The chain counts what it gets back and does no more with it.
    return cast("list[JobHandle[Any]]", requests)


async def _handler(job: JobContext) -> None: ...


def one_by_one(layers: Sequence[Middleware]) -> Side:
    """Jobs sent singly."""
    send = sending(layers, _send) or _send

    async def run(jobs: int) -> float:
        requests = [_request() for _ in range(jobs)]
        began = time.perf_counter()
        for request in requests:
            await send([request])
        return time.perf_counter() - began

    return run


def in_bulk(layers: Sequence[Middleware]) -> Side:
    """Jobs sent a thousand at once."""
    send = sending(layers, _send) or _send

    async def run(jobs: int) -> float:
        requests = [_request() for _ in range(BULK)]
        began = time.perf_counter()
        for _ in range(jobs // BULK):
            await send(requests)
        return time.perf_counter() - began

    return run


def running(layers: Sequence[Middleware], headers: dict[str, str]) -> Side:
    """Attempts of jobs that were sent with ``headers``."""
    call = processing(layers, _handler)

    async def run(jobs: int) -> float:
        context = _context(headers)
        began = time.perf_counter()
        for _ in range(jobs):
            await call(context)
        return time.perf_counter() - began

    return run


def _request() -> JobRequest[Any]:
    return JobRequest(
        name="send_email",
        arguments=b"\x90",
        keywords=(),
        signature=0,
        defaults=DefinitionOptions(queue="emails"),
        options=CallOptions(),
        returns=None,
        id=new_id(),
    )


def _context(headers: dict[str, str]) -> JobContext:
    job = create_job(new_id(), "send_email", "emails", Priority.NORMAL, Envelope(headers=headers))
    job = start_job(job, fence=1, now_ms=0)
    return JobContext(job, cast("Dispatcher", None), None)


async def headers_of(layers: Sequence[Middleware]) -> dict[str, str]:
    """What these layers send along with a job."""
    seen: list[JobRequest[Any]] = []

    async def send(requests: Sequence[JobRequest[Any]]) -> list[JobHandle[Any]]:
        seen.extend(requests)
        return await _send(requests)

    await (sending(layers, send) or send)([_request()])
    return seen[0].headers


async def main(jobs: int, rounds: int) -> None:
    sdk = Kept()
    variants: dict[str, list[Middleware]] = {
        "no middleware": [],
        "a layer that passes on": [PassOn()],
        "API alone": [Tracing(), Metrics()],
        "SDK in memory": sdk.layers(),
    }
    for title, make in (("send one by one", one_by_one), ("send in bulk", in_bulk), ("process", None)):
        sides: dict[str, Side] = {
            name: make(layers) if make is not None else running(layers, await headers_of(layers))
            for name, layers in variants.items()
        }
        took: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, side in sides.items():
                took[name].append(await side(jobs) / jobs * 1e6)
                sdk.forget()
        bare = statistics.median(took["no middleware"])
        print(f"{title}, µs a job")
        for name, figures in took.items():
            median = statistics.median(figures)
            print(f"  {name:24} {median:8.3f}   + {median - bare:7.3f}   × {median / bare:7.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000, help="a round, a multiple of 1,000")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    asyncio.run(main(given.jobs, given.rounds))
