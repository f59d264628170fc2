"""How soon a running handler is cancelled, and how soon probes are answered while a handler blocks the event loop.

``python -m benchmarks.cancellation [cancellations] [blocked seconds]``; the worker is a process of its own, at default
settings.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Sequence

from asyncjobs import App, Worker
from asyncjobs.worker.liveness.probes import probe_server
from tests.servers import Server, free_port, server

__all__ = ["main"]

_AT_ONCE = 10
_IDLE_S = 20.0
_PROBE_EVERY_S = 0.1


def make_app(port: int) -> App:
    """Return an app whose jobs wait to be cancelled, or block the loop."""
    app = App(f"redis://127.0.0.1:{port}/0")

    @app.job
    async def stay(key: str) -> None:
        broker = app._host.connection.broker
        await broker._command("RPUSH", "began:" + key, "1")  # type: ignore[attr-defined]
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            now = time.time()
            await broker._command("RPUSH", "cancelled:" + key, str(now))  # type: ignore[attr-defined]
            raise

    @app.job
    async def block(seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251

    return app


async def cancel_some(running: Server, count: int) -> list[float]:
    """Return how long each of ``count`` cancellations took until the handler had its error, in ms, in their order."""
    app = make_app(running.port)
    stay = app.registry.get("stay")
    took: list[float] = []
    with running.client() as client:

        async def one(number: int) -> None:
            handle = await stay.delay(str(number))
            await asyncio.to_thread(client.blpop, [f"began:{number}"], 60)
            asked = time.time()
            await handle.cancel()
            _, at = await asyncio.to_thread(client.blpop, [f"cancelled:{number}"], 60)
            took.append((float(at) - asked) * 1000)

        async with app:
            for start in range(0, count, _AT_ONCE):
                await asyncio.gather(*(one(number) for number in range(start, min(start + _AT_ONCE, count))))
    return sorted(took)


def idle_commands(running: Server) -> float:
    """Return how many commands a second an idle worker costs the server."""
    with running.client() as client:
        before = client.info("stats")["total_commands_processed"]
        time.sleep(_IDLE_S)
        return (client.info("stats")["total_commands_processed"] - before - 1) / _IDLE_S


def probe(port: int, path: str) -> tuple[float, int, str]:
    """Return how long a probe took in ms, its status, and the reason that it was given."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    reason = json.loads(answer.read())["reason"]
    connection.close()
    return (time.monotonic() - began) * 1000, answer.status, reason


async def probe_blocked(running: Server, port: int, seconds: float) -> list[tuple[float, int, str]]:
    """Return the answers to ``/livez`` and ``/readyz``, in turn, while the worker's loop is blocked for ``seconds``."""
    app = make_app(running.port)
    async with app:
        handle = await app.registry.get("block").delay(seconds)
        ended = asyncio.create_task(handle.result(seconds + 60))
        answers: list[tuple[float, int, str]] = []
        while not ended.done():
            answers += [await asyncio.to_thread(probe, port, path) for path in ("/livez", "/readyz")]
            await asyncio.wait([ended], timeout=_PROBE_EVERY_S)
    return answers


def _percentiles(sorted_ms: Sequence[float]) -> str:
    p50, p99 = sorted_ms[len(sorted_ms) // 2], sorted_ms[int(len(sorted_ms) * 0.99) - 1]
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {sorted_ms[-1]:.1f} ms"


async def work(port: int, probes: int) -> None:
    """Be the worker."""
    worker = Worker(make_app(port))
    with probe_server(worker.health, probes, "127.0.0.1"):
        await worker.run()


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    blocked_s = float(sys.argv[2]) if len(sys.argv) > 2 else 12.0
    port = free_port()
    with server() as running:
        arguments = ["worker", str(running.port), str(port)]
        worker = subprocess.Popen([sys.executable, "-m", "benchmarks.cancellation", *arguments])
        try:
            before = idle_commands(running)
            cancelled = asyncio.run(cancel_some(running, count))
            print(f"{count} cancellations, {_AT_ONCE} at once: {_percentiles(cancelled)}", flush=True)
            print(f"an idle worker: {before:.1f} commands/s before, {idle_commands(running):.1f} after", flush=True)
            answers = asyncio.run(probe_blocked(running, port, blocked_s))
            took = _percentiles(sorted(ms for ms, *_ in answers))
            print(f"{len(answers)} probes, the loop blocked for {blocked_s:g} s: {took}")
            refused = [reason for _, status, reason in answers if status == 503]
            print(f"{len(refused)} were answered by 503, the last: {refused[-1] if refused else '-'}")
        finally:
            worker.terminate()
            worker.wait(60)


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        asyncio.run(work(int(sys.argv[2]), int(sys.argv[3])))
    else:
        main()
