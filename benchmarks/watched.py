"""`python -m benchmarks.watched`: how fast a worker drains a queue while three dashboards are open, beside none.

Each tab asks for its page anew every two seconds, as the script of the page does. The dashboard and the tabs share the
processor of the server, and the worker has one for itself.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import os
import re
import statistics
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator

from benchmarks.compare import ROOT, child
from tests.servers import Server, find_binary

TABS = ("/", "/queues", "/jobs")
EVERY_S = 2.0
JOBS = 100_000


def served(url: str, core: int) -> subprocess.Popen[str]:
    """Start ``asyncjobs dashboard`` on a free port."""
    command = [sys.executable, "-u", "-m", "asyncjobs", "dashboard", "--url", url, "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "ASYNCJOBS_DASHBOARD_PASSWORD": "open"}
    )
    os.sched_setaffinity(process.pid, {core})
    return process


@contextlib.contextmanager
def tabs(address: str) -> Iterator[list[int]]:
    """Keep the tabs open for the time of a block; yields a list that gets the status of each answer."""
    closed, answers = threading.Event(), []
    login = base64.b64encode(b"admin:open").decode()

    def look(path: str) -> None:
        while not closed.is_set():
            headers = {"Authorization": f"Basic {login}", "X-Fragment": "1"}
            with urllib.request.urlopen(urllib.request.Request(address + path, headers=headers), timeout=30) as reply:
                reply.read()
                answers.append(reply.status)
            closed.wait(EVERY_S)

    threads = [threading.Thread(target=look, args=(path,)) for path in TABS]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        closed.set()
        for thread in threads:
            thread.join()


def main() -> None:
    """Measure pairs in turn, and print the median of their ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    cores = sorted(os.sched_getaffinity(0))
    server = Server(find_binary())
    client = server.client()
    os.sched_setaffinity(client.info()["process_id"], {cores[0]})
    process = served(server.url, cores[0])
    try:
        assert process.stdout is not None
        address = re.search(r"http://\S+[^/\s]", process.stdout.readline())
        assert address is not None
        os.sched_setaffinity(0, {cores[-1]})
        pairs: list[tuple[float, float]] = []
        looks = 0
        for number in range(rounds + 1):
            rates = {}
            for is_watched in (True, False)[:: 1 if number % 2 else -1]:
                client.execute_command("FLUSHALL", "SYNC")
                with tabs(address[0]) if is_watched else contextlib.nullcontext([]) as answers:
                    rates[is_watched] = child(ROOT, "drain", server.url, JOBS)["figure"]
                looks += len(answers)
            # The first pair only warms the machine.
            if number:
                pairs.append((rates[True], rates[False]))
        with_tabs, without = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
        ratio = statistics.median(pair[0] / pair[1] for pair in pairs)
        print(f"drain with {len(TABS)} tabs {with_tabs:,.0f}/s, without {without:,.0f}/s: ratio {ratio:.3f}")
        print(f"pages read: {looks}")
    finally:
        process.terminate()
        process.wait()
        client.close()
        server.close()


if __name__ == "__main__":
    main()
