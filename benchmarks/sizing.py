"""What sizes a deployment: bytes a job on the server, CPU a job, and what a worker and a dashboard take.

``python -m benchmarks.sizing`` starts a server by itself. The page docs/how-to/sizing.md shows its figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import redis

from asyncjobs import App, RetryPolicy, Worker
from tests.servers import Server, find_binary, free_port
from tests.waiting import until_sync

SIZES = (50, 1_000, 10_000)
JOBS = 2_000
DRAINED = 50_000
IDLE_S = 10
_AT_ONCE = RetryPolicy(max_retries=3, initial=0.001, backoff="constant")

PROGRAM = """
import asyncio
from asyncjobs import App

app = App(prefix="idle")

@app.job(queue="a")
async def one(text: str) -> None:
    await asyncio.sleep(60)

@app.job(queue="b")
async def two() -> None: ...

@app.job(queue="c")
async def three() -> None: ...
"""


def used(client: redis.Redis) -> int:
    """Return the bytes of the server's data."""
    return int(client.info("memory")["used_memory"])


def server_cpu(client: redis.Redis) -> float:
    """Return the seconds of CPU that the server has used."""
    info = client.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


async def job_bytes(url: str, client: redis.Redis, size: int) -> tuple[float, float, float]:
    """Return the bytes of a job that waits, that has completed, and that is dead after four attempts."""
    app = App(url, prefix=f"size{size}", max_dead=10 * JOBS)

    @app.job
    async def pay(text: str) -> str:
        return "paid"

    @app.job(queue="failing", retry=_AT_ONCE)
    async def fail(text: str) -> None:
        raise ConnectionError("the bank does not answer")

    async def until_dead(count: int) -> None:
        while (await app.queue_stats("failing")).failed_total < count:
            await Worker(app).run_until_empty()
            await asyncio.sleep(0.01)  # for those that wait for their next attempt

    text = "x" * size
    async with app:
        # What a queue takes by itself isn't counted with its jobs.
        await app.enqueue_many([pay.request(""), fail.request("")])
        await Worker(app).run_until_empty()
        await until_dead(1)
        before = used(client)
        await app.enqueue_many([pay.request(text) for _ in range(JOBS)])
        waiting = used(client) - before
        await Worker(app).run_until_empty()
        completed = used(client) - before
        before = used(client)
        await app.enqueue_many([fail.request(text) for _ in range(JOBS)])
        await until_dead(1 + JOBS)
        dead = used(client) - before
    return waiting / JOBS, completed / JOBS, dead / JOBS


async def cpu_of_jobs(url: str, client: redis.Redis) -> tuple[float, float, float, float]:
    """Return microseconds of CPU a job: of a sender in bulk and of the server, then of a worker and of the server."""
    app = App(url, prefix="cpu")

    @app.job
    async def nothing(text: str) -> None: ...

    async def measured(work: Any) -> tuple[float, float]:
        mine, of_server = time.process_time(), server_cpu(client)
        await work
        return (time.process_time() - mine) / DRAINED * 1e6, (server_cpu(client) - of_server) / DRAINED * 1e6

    async with app:
        sending = await measured(app.enqueue_many([nothing.request("x" * 50) for _ in range(DRAINED)]))
        running = await measured(Worker(app).run_until_empty())
    return *sending, *running


async def send_sleepers(url: str) -> None:
    """Send 100 jobs that sleep to the program's worker."""
    app = App(url, prefix="idle")

    @app.job(queue="a")
    async def one(text: str) -> None: ...

    async with app:
        await app.enqueue_many([one.request("x" * 1_000) for _ in range(100)])


def process_needs(folder: Path, url: str, client: redis.Redis, port: str, *words: str) -> str:
    """Return what a command takes that listens on a port: memory, connections, and CPU once it has started."""
    before = len(client.client_list())
    environ = {**os.environ, "ASYNCJOBS_URL": url, "ASYNCJOBS_DASHBOARD_PASSWORD": "x", "PYTHONPATH": os.getcwd()}
    with (folder / "log").open("w") as log:
        line = [sys.executable, "-m", "asyncjobs", *words]
        process = subprocess.Popen(line, cwd=folder, env=environ, stdout=log, stderr=log)

    def listens() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(port)), 1):
            return True
        return False

    try:
        seen = psutil.Process(process.pid)
        until_sync(listens, "it listens", within=60)
        time.sleep(IDLE_S)
        began = sum(seen.cpu_times()[:2])
        time.sleep(IDLE_S)
        cpu = (sum(seen.cpu_times()[:2]) - began) / IDLE_S
        connections = len(client.client_list()) - before
        return f"{seen.memory_info().rss / 2**20:.0f} MiB, {connections} connections, {cpu:.2%} of a core"
    finally:
        process.terminate()
        process.wait(60)


def main() -> None:
    """Print the figures."""
    logging.disable()  # of each failure
    server = Server(find_binary())
    try:
        client = server.client()
        print(f"{'bytes of arguments':>20}  {'waits':>8}  {'completed':>10}  {'dead':>8}")
        for size in SIZES:
            waiting, completed, dead = asyncio.run(job_bytes(server.url, client, size))
            print(f"{size:>20,}  {waiting:>8,.0f}  {completed:>10,.0f}  {dead:>8,.0f}", flush=True)
        sender, at_sending, worker, at_running = asyncio.run(cpu_of_jobs(server.url, client))
        print(f"CPU of a job in us: sender {sender:.0f} and server {at_sending:.0f}, ", end="")
        print(f"worker {worker:.0f} and server {at_running:.0f}", flush=True)
        client.flushall()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "shop.py").write_text(PROGRAM)
            port = str(free_port())
            worker = ("worker", "shop:app", "--health-port", port)
            print("worker, idle:", process_needs(folder, server.url, client, port, *worker), flush=True)
            asyncio.run(send_sleepers(server.url))
            print("worker, 100 jobs that sleep:", process_needs(folder, server.url, client, port, *worker), flush=True)
            dashboard = ("dashboard", "shop:app", "--port", port)
            print("dashboard, idle:", process_needs(folder, server.url, client, port, *dashboard))
        client.close()
    finally:
        server.close()


if __name__ == "__main__":
    main()
