"""What the dashboard calls wrong, from figures alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from asyncjobs.admin.dashboard.triage import findings
from asyncjobs.app.stats import QueueStats, WorkerStats, queue_stats
from asyncjobs.ports import QueueFigures


def a_queue(name: str = "mail", **figures: Any) -> QueueStats:
    nothing = dict.fromkeys(QueueFigures.__struct_fields__, 0)
    given = {**nothing, "name": name, "held": (), "parked_for": (), "ready": (0, 0, 0, 0), "histogram": {}}
    empty = QueueFigures(**given)
    return msgspec.structs.replace(queue_stats(empty), **figures)


def a_worker(*queues: str, **fields: Any) -> WorkerStats:
    worker = WorkerStats(
        id="w",
        status="running",
        host="h",
        pid=1,
        started_at=datetime.now(UTC),
        queues=queues,
        concurrency=2,
        running=(),
    )
    return msgspec.structs.replace(worker, **fields)


WAITING = {"size": 2, "pending": 2}


@pytest.mark.parametrize(
    ("figures", "workers", "expected"),
    [
        ({}, [], []),
        (WAITING, [a_worker("mail")], []),
        (WAITING, [], [("bad", "workers")]),
        (WAITING, [a_worker("other")], [("bad", "workers")]),
        (WAITING, [a_worker("mail", status="stopping")], [("bad", "workers")]),
        ({**WAITING, "paused": True}, [a_worker("mail")], [("bad", "resume")]),
        ({"paused": True}, [], [("warn", "resume")]),
        ({**WAITING, "oldest_wait_ms": 60_000}, [a_worker("mail")], [("warn", "queue")]),
        ({**WAITING, "oldest_wait_ms": 59_999}, [a_worker("mail")], []),
        ({"size": 1, "parked": 1}, [a_worker("mail")], [("warn", "parked")]),
        ({"failed": 3}, [], [("warn", "dead")]),
        ({**WAITING, "failed": 3, "parked": 1}, [], [("bad", "workers"), ("warn", "parked"), ("warn", "dead")]),
    ],
)
def test_what_is_wrong_with_a_queue(figures: Any, workers: Any, expected: Any) -> None:
    assert [(one.level, one.action) for one in findings([a_queue(**figures)], workers)] == expected


def test_what_stands_still_comes_first_and_of_that_the_most() -> None:
    queues = [a_queue("a", failed=900), a_queue("b", size=5, pending=5), a_queue("c", size=50, pending=50)]
    assert [one.queue for one in findings(queues, [])] == ["c", "b", "a"]
