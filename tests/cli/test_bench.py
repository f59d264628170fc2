"""``asyncjobs bench``, on a real server: figures of this machine, and nothing left in the queues of a program."""

from __future__ import annotations

import json

from asyncjobs import App
from tests.cli.conftest import Command


def test_it_tells_what_this_machine_does_and_leaves_the_queues_alone(command: Command, redis_url: str) -> None:
    done = command.run("bench", "--url", redis_url, "--jobs", "300", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("jobs") == 300
    assert all(one > 0 for one in found.values())
    assert found["start_p50_ms"] <= found["start_p99_ms"]
    assert App(redis_url).sync.stats().queues == []


def test_it_is_a_table_for_people(command: Command, redis_url: str) -> None:
    done = command.run("bench", "--url", redis_url, "--jobs", "300")
    for words in ("sent one after the other", "sent together (300)", "run by one worker", "from sending to the start"):
        assert words in done.stdout
