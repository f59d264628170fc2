"""The examples do what they say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asyncjobs import App

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


@pytest.mark.parametrize("where", ["memory", "redis"])
def test_the_quickstart_completes_all_its_jobs(where: str, redis_url: str) -> None:
    done = run("quickstart.py", redis_url if where == "redis" else "memory://")

    assert done.returncode == 0, done.stderr
    assert "completed 10,000 jobs" in done.stdout
    if where == "redis":
        [queue] = App(redis_url, prefix="quickstart").sync.stats().queues
        assert queue.succeeded_total == 10_000


def test_the_shop_runs_beside_a_worker(redis_url: str) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "asyncjobs", "worker", "shop:app"],
        cwd=EXAMPLES,
        env={**os.environ, "ASYNCJOBS_URL": redis_url},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        done = run("shop.py", ASYNCJOBS_URL=redis_url)
        worker.send_signal(signal.SIGTERM)
        _, log = worker.communicate(timeout=30)
    finally:
        worker.kill()
        worker.communicate()
    assert done.returncode == 0, done.stderr
    assert "sent to user@example.com at attempt 1" in done.stdout
    assert (worker.returncode, "Traceback" in log) == (0, False)
