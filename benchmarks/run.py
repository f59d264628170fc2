"""`python -m benchmarks.run`: asyncjobs beside the bare loop, interleaved in one run, medians, as ratios."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import redis

from asyncjobs.jobs.ids import new_id
from benchmarks import product
from benchmarks.bare_loop import Bare
from tests.servers import Server, find_binary

FIGURES = {"drain": 1.0, "bulk": 1.0, "concurrent": 0.25, "single": 0.1}
WAKES = 300


def child(*arguments: object) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.child", *map(str, arguments)], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def counters(client: redis.Redis) -> dict[str, float]:
    info = client.info("all")
    # The stats that the drain's own watcher asks for are no cost of a job.
    calls = sum(info.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "blpop", "eval"))
    return {"cpu": info["used_cpu_user"] + info["used_cpu_sys"], "calls": calls, "memory": info["used_memory"]}


def one(who: str, what: str, server: Server, jobs: int) -> dict[str, float]:
    """Measure one figure on an emptied server."""
    client = server.client()
    client.execute_command("FLUSHALL", "SYNC")
    if what == "drain":
        child("ours" if who == "ours" else "bare", "bulk", server.port, jobs)
    before = counters(client)
    found = child(who, what, server.port, jobs)
    after = counters(client)
    client.close()
    found["redis_us"] = (after["cpu"] - before["cpu"]) / jobs * 1e6
    found["calls"] = (after["calls"] - before["calls"]) / jobs
    found["bytes"] = (after["memory"] - before["memory"]) / jobs
    return found


async def wakes(who: str, server: Server) -> dict[str, float]:
    """Send to an idle worker in another process, one at a time; return the percentiles until its handler starts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.child", who, "serve", str(server.port), "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    sent: dict[str, int] = {}
    app = product.make_app(server.port)
    bare = Bare(server.port, "wake")
    async with app:
        wake = app.registry.get("wake")
        for _ in range(WAKES):
            await asyncio.sleep(0.01)
            now_ns = time.time_ns()
            if who == "bare":
                job_id = new_id()
                await bare.enqueue([job_id])
            else:
                job_id = (await wake.delay()).id
            sent[job_id] = now_ns
        await asyncio.sleep(0.2)
    await bare.close()
    out, _ = process.communicate()
    starts = [line.split() for line in out.splitlines()]
    took = sorted((int(at) - sent[job_id]) / 1e6 for job_id, at in starts if job_id in sent)
    return {"p50": took[len(took) // 2], "p99": took[int(len(took) * 0.99)]}


def median(rounds: list[dict[str, float]], name: str) -> float:
    return statistics.median(one[name] for one in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--server", type=Path, default=None, help="a redis-server or valkey-server")
    parser.add_argument("--only", choices=[*FIGURES, "wake"], default=None)
    options = parser.parse_args()
    server = Server(options.server or find_binary())
    head = ["figure", "asyncjobs", "bare loop", "ratio", "CPU us/job", "bare", "Redis us/job", "bare", "trips/job"]
    head += ["bytes/job"]
    print("  ".join(f"{name:>12}" for name in head))
    try:
        for what, share in FIGURES.items():
            if options.only not in (None, what):
                continue
            jobs = max(1000, int(options.jobs * share))
            ours, bare = [], []
            for _ in range(options.rounds):
                ours.append(one("ours", what, server, jobs))
                bare.append(one("bare", what, server, jobs))
            rate, yardstick = median(ours, "rate"), median(bare, "rate")
            cells = [what, f"{rate:,.0f}/s", f"{yardstick:,.0f}/s", f"{rate / yardstick:.0%}"]
            cells += [f"{median(one_, name):.1f}" for name in ("cpu_us", "redis_us") for one_ in (ours, bare)]
            cells += [f"{median(ours, 'calls'):.4f}", f"{median(ours, 'bytes'):.0f}" if what == "bulk" else ""]
            print("  ".join(f"{cell:>12}" for cell in cells), flush=True)
        if options.only in (None, "wake"):
            ours, bare = [], []
            for _ in range(options.rounds):
                ours.append(asyncio.run(wakes("ours", server)))
                bare.append(asyncio.run(wakes("bare", server)))
            for name in ("p50", "p99"):
                mine, yardstick = median(ours, name), median(bare, name)
                cells = [f"wake {name}", f"{mine:.2f} ms", f"{yardstick:.2f} ms", f"{yardstick / mine:.0%}"]
                print("  ".join(f"{cell:>12}" for cell in cells), flush=True)
    finally:
        server.close()


if __name__ == "__main__":
    main()
