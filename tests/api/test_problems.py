"""What is wrong now: each rule from figures alone, and all of them over a broker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from asyncjobs import App, ArgumentsError, Finding, ProblemLimits, RetryPolicy, Worker
from asyncjobs.app.gates import GateStats, gate_stats
from asyncjobs.app.load import QueueLoad
from asyncjobs.app.series import NameStats
from asyncjobs.app.stats import HoldStats, ParkedStats, QueueStats, queue_stats
from asyncjobs.app.triage.finding import Facts, ScheduleFacts
from asyncjobs.app.triage.triage import findings
from asyncjobs.app.worker_stats import WorkerJob, WorkerStats
from asyncjobs.core.limits import QueueLimit
from asyncjobs.ports import DeadGroup, GateFigures, QueueFigures, ServerNode, ServerState


def a_queue(name: str = "mail", **figures: Any) -> QueueStats:
    nothing = dict.fromkeys(QueueFigures.__struct_fields__, 0)
    given = {
        **nothing,
        "name": name,
        "held": (),
        "parked_for": (),
        "ready": (0, 0, 0, 0),
        "histogram": {},
        "limit": None,
    }
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


NOW = datetime(2026, 11, 26, 3, 12, 7, tzinfo=UTC)
WAITING = {"size": 2, "pending": 2}


def told(*queues: QueueStats, workers: Sequence[WorkerStats] = (), **facts: Any) -> list[Finding]:
    return findings(Facts(now=NOW, limits=ProblemLimits(), queues=queues, workers=workers, **facts))


def before(**span: float) -> datetime:
    return NOW - timedelta(**span)


@pytest.mark.parametrize(
    ("figures", "workers", "expected"),
    [
        ({}, [], []),
        (WAITING, [a_worker("mail")], []),
        (WAITING, [], [("bad", "no worker")]),
        (WAITING, [a_worker("other")], [("bad", "no worker")]),
        (WAITING, [a_worker("mail", status="stopping")], [("bad", "no worker")]),
        ({**WAITING, "paused": True}, [a_worker("mail")], [("bad", "paused")]),
        ({"paused": True}, [], [("warn", "paused")]),
        ({**WAITING, "oldest_wait_ms": 60_000}, [a_worker("mail")], [("warn", "slow")]),
        ({**WAITING, "oldest_wait_ms": 59_999}, [a_worker("mail")], []),
        ({"size": 1, "parked": 1}, [a_worker("mail")], [("warn", "set aside")]),
        ({"overdue": 10, "scheduled": 10}, [a_worker("mail")], [("warn", "overdue")]),
        ({"overdue": 9, "scheduled": 9}, [a_worker("mail")], []),
        ({"failed": 3}, [], [("warn", "dead")]),
        ({"failed": 90_000}, [], [("bad", "dead letter queue full"), ("warn", "dead")]),
        ({**WAITING, "failed": 3, "parked": 1}, [], [("bad", "no worker"), ("warn", "dead"), ("warn", "set aside")]),
    ],
)
def test_what_is_wrong_with_a_queue(figures: Any, workers: Any, expected: Any) -> None:
    assert [(one.level, one.kind) for one in told(a_queue(**figures), workers=workers)] == expected


def test_what_stands_still_comes_first_and_of_that_the_most() -> None:
    queues = [a_queue("a", failed=900), a_queue("b", size=5, pending=5), a_queue("c", size=50, pending=50)]
    assert [one.queue for one in told(*queues)] == ["c", "b", "a"]


def test_a_pause_tells_by_whom_since_when_and_why() -> None:
    hold = HoldStats(kind="queue", which="", since=before(days=2), by="bob", why="smtp migration")
    [found] = told(a_queue(size=48_201, paused=True, holds=(hold,)))
    assert str(found) == "mail: paused by bob: “smtp migration”; 48,201 jobs wait"
    assert (found.since, found.action) == (before(days=2), "resume")


def test_parked_jobs_tell_why_and_when_they_die() -> None:
    parked = ParkedStats(reason="unknown name", which="shop.new_thing", size=3_120, since=before(minutes=12))
    [found] = told(a_queue(parked=3_120, parked_for=(parked,)), workers=[a_worker("mail")])
    expected = "3,120 jobs of shop.new_thing set aside: no worker knows this name; they die in 48 min"
    assert (found.sentence, found.level) == (expected, "warn")
    soon = msgspec.structs.replace(parked, since=before(minutes=51))
    assert [one.level for one in told(a_queue(parked=3_120, parked_for=(soon,)))] == ["bad"]
    held = msgspec.structs.replace(parked, reason="suspended name")
    hold = HoldStats(kind="name", which="shop.new_thing", since=None, by="ada", why="broken")
    [found] = told(a_queue(parked=3_120, parked_for=(held,), holds=(hold,)))
    assert found.sentence.endswith("the name shop.new_thing is suspended by ada: “broken”")


@pytest.mark.parametrize(
    ("figures", "is_served", "sentence"),
    [
        ({"size": 1}, False, "no worker serves it; 1 job waits"),
        ({"size": 1, "paused": True}, True, "paused; 1 job waits"),
        ({"overdue": 1}, True, "1 job is past its time, and no worker has made it ready"),
        ({"overdue": 2}, True, "2 jobs are past their time, and no worker has made them ready"),
        ({"pending": 1, "oldest_wait_ms": 90_000}, True, "slow: the only job in line has waited 90 s"),
        ({"failed": 1}, True, "1 job in the dead letter queue"),
    ],
)
def test_a_sentence_about_one_job_is_in_the_singular(figures: Any, is_served: bool, sentence: str) -> None:
    workers = [a_worker("mail")] if is_served else []
    facts = Facts(now=NOW, limits=ProblemLimits(overdue=1), queues=[a_queue(**figures)], workers=workers)
    assert [one.sentence for one in findings(facts)] == [sentence]


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("unknown name", "1 job of x set aside: no worker knows this name; it dies now"),
        ("newer version", "1 job set aside: a newer asyncjobs has written it, and no worker can read it"),
    ],
)
def test_one_job_that_is_set_aside_is_in_the_singular(reason: Any, end: str) -> None:
    parked = ParkedStats(reason=reason, which="x", size=1, since=before(days=1))
    [found] = told(a_queue(parked=1, parked_for=(parked,)), workers=[a_worker("mail")])
    assert found.sentence == end


@pytest.mark.parametrize(
    ("lagging", "replicas", "end"),
    [
        (1, 1, "its replica does not follow"),
        (1, 2, "1 of 2 replicas does not follow"),
        (2, 2, "2 of 2 replicas do not follow"),
    ],
)
def test_how_many_replicas_do_not_follow(lagging: int, replicas: int, end: str) -> None:
    node = ServerNode(address="r", version="8", persistence=("aof",), replicas=replicas, replicas_lagging=lagging)
    [found] = told(server=ServerState(kind="redis", nodes=(node,)))
    assert found.sentence == f"Redis at r: {end}"


def a_load(**figures: Any) -> QueueLoad:
    given: dict[str, Any] = {
        "queue": "mail",
        "paused": False,
        "backlog": 0,
        "held_back": 0,
        "running": 0,
        "oldest_wait_s": 0.0,
        "arrival_rate": 0.0,
        "service_rate": 0.0,
        "slots": 2,
        "workers": 1,
        "mean_run_s": None,
        "drain_s": 0.0,
        "wanted_slots": 0,
        "ended_per_minute": 0.0,
        "died_last_hour": 0,
        "p95_wait_ms": None,
        "p95_run_ms": None,
        "ended": [],
    }
    return QueueLoad(**{**given, **figures})


@pytest.mark.parametrize(
    ("load", "sentence"),
    [
        (
            {"backlog": 500, "drain_s": None, "arrival_rate": 4.5, "service_rate": 1.0},
            "the backlog of 500 jobs grows by 210/min; it is never empty at this rate",
        ),
        (
            {"backlog": 500, "drain_s": 7_300.0, "arrival_rate": 1.0, "service_rate": 1.1},
            "the backlog of 500 jobs shrinks slowly; it is empty in 2 h at this rate",
        ),
        ({"backlog": 99, "drain_s": None}, None),
        ({"backlog": 500, "drain_s": 60.0}, None),
    ],
)
def test_a_backlog_that_does_not_shrink_is_told(load: Any, sentence: str | None) -> None:
    queue = a_queue(size=500, pending=500)
    found = told(queue, workers=[a_worker("mail")], loads={"mail": a_load(**load)})
    assert [one.sentence for one in found] == ([] if sentence is None else [sentence])


def test_a_wait_that_is_usual_is_not_slow() -> None:
    queue, workers = a_queue(size=2, pending=2, oldest_wait_ms=100_000), [a_worker("mail")]
    assert told(queue, workers=workers, loads={"mail": a_load(p95_wait_ms=20_000.0)}) == []
    assert [one.kind for one in told(queue, workers=workers, loads={"mail": a_load(p95_wait_ms=5_000.0)})] == ["slow"]


def a_group(**fields: Any) -> DeadGroup:
    given: dict[str, Any] = {
        "queue": "payments",
        "id": "g1",
        "name": "shop.charge",
        "error": "ConnectionError",
        "message": "connection to <ip> refused",
        "count": 2_031,
        "hour": 2_030,
        "day": 2_031,
        "first_ms": round(before(minutes=31).timestamp() * 1000),
        "last_ms": round(NOW.timestamp() * 1000),
    }
    return DeadGroup(**{**given, **fields})


def a_gate(name: str = "stripe", **fields: Any) -> GateStats:
    gate = gate_stats([GateFigures(gate=name, limit=QueueLimit(running=3))], NOW)[0]
    return msgspec.structs.replace(gate, **fields)


LINED = {"size": 500, "pending": 500, "oldest_wait_ms": 3_000_000, "lined": 500, "closed_lines": 9}


@pytest.mark.parametrize(
    ("gates", "sentences"),
    [
        # Full, with many behind it, and growing: that is what a limit is for.
        ([a_gate(in_use=3, waiting=500, oldest_wait_ms=3_000_000)], []),
        # Others have waited for longer.
        (
            [a_gate(in_use=3, waiting=2, oldest_wait_ms=4_000)],
            ["slow: the first of 500 jobs in line has waited 50 min"],
        ),
        (
            [a_gate(waiting=1, oldest_wait_ms=7_200_000, is_closed=True)],
            ["1 job waits for the limit stripe (closed by a job), for 2 h"],
        ),
        (
            [
                a_gate("customer", is_each=True, waiting=500, oldest_wait_ms=7_200_000),
                a_gate("customer=42", waiting=400, oldest_wait_ms=7_200_000, is_set=True, set_by="ada"),
                a_gate("customer=43", waiting=100, oldest_wait_ms=60_000),
            ],
            ["400 jobs wait for the limit customer=42 (3 at once, set by ada), the first one for 2 h"],
        ),
    ],
)
def test_what_waits_for_a_limit_is_told_once_it_has_waited_for_long(
    gates: list[GateStats], sentences: list[str]
) -> None:
    found = told(a_queue(**LINED), workers=[a_worker("mail")], gates={"mail": gates})
    assert [one.sentence for one in found] == sentences


def test_a_backlog_that_a_limit_holds_back_is_as_it_is_meant() -> None:
    load = a_load(backlog=500, drain_s=None, arrival_rate=4.5, service_rate=1.0)
    queue, workers = a_queue(**LINED), [a_worker("mail")]
    held = [a_gate(in_use=3, waiting=450, oldest_wait_ms=3_000_000)]
    assert told(queue, workers=workers, loads={"mail": load}, gates={"mail": held}) == []
    [finding] = told(queue, workers=workers, loads={"mail": load})
    assert finding.kind == "backlog grows"


def test_more_deaths_than_usual_are_told_with_their_error_and_the_deploy_before() -> None:
    queue = a_queue("payments", failed=2_031)
    load = a_load(queue="payments", died_last_hour=2_031)
    worker = a_worker("payments", deploy="9f3c1e7", started_at=before(minutes=35))
    facts: dict[str, Any] = {"workers": [worker], "loads": {"payments": load}, "groups": [a_group()]}
    [found] = told(queue, usual_deaths={"payments": 1.0}, **facts)
    assert (found.level, found.kind, found.subject, found.since) == ("bad", "deaths", "g1", before(minutes=31))
    assert found.sentence == (
        "2,031 died in the last hour, 1 in the same hour of other days; most of them: ConnectionError: connection to "
        "<ip> refused in shop.charge; it began 4 min after the deploy 9f3c1e7"
    )
    # As many as on other days are no surge, but the error is new.
    assert [one.kind for one in told(queue, usual_deaths={"payments": 1_000.0}, **facts)] == ["new error"]


@pytest.mark.parametrize(
    ("group", "kinds"),
    [
        ({"state": "new"}, ["new error"]),
        ({"state": "back", "note": "bank"}, ["error is back"]),
        ({"state": "seen"}, []),
        ({"state": "new", "day": 0, "hour": 0}, ["dead"]),
        ({"id": "", "day": 0, "hour": 0}, ["dead"]),
    ],
)
def test_a_group_of_the_dead_is_told_until_it_was_seen(group: Any, kinds: list[str]) -> None:
    found = told(a_queue("payments", failed=2_031), groups=[a_group(**group)])
    assert [one.kind for one in found] == kinds


def a_running_job(**fields: Any) -> WorkerJob:
    given: dict[str, Any] = {
        "id": "01M8AC",
        "queue": "reports",
        "name": "shop.export",
        "tenant": None,
        "attempt": 1,
        "started_at": before(minutes=130),
        "progress": None,
    }
    return WorkerJob(**{**given, **fields})


def test_a_job_that_runs_for_longer_than_its_name_takes_is_told() -> None:
    usual = NameStats(
        **{
            **dict.fromkeys(NameStats.__struct_fields__, 0),
            "name": "shop.export",
            "queues": ("reports",),
            "p99_run_ms": 240_000.0,
        }
    )
    worker = a_worker("reports", host="web-3", pid=4411, jobs=(a_running_job(),))
    [found] = told(workers=[worker], names={"shop.export": usual})
    assert found.sentence == "a job of shop.export runs for 2 h on web-3:4411; 99 % of them take 4 min at most"
    assert (found.subject, found.action) == ("01M8AC", "cancel")
    for started in (before(minutes=39), before(minutes=5)):
        short = a_worker("reports", jobs=(a_running_job(started_at=started),))
        assert told(workers=[short], names={"shop.export": usual}) == []
    # Nobody knows how long it usually takes.
    assert told(workers=[worker]) == []


def test_workers_tell_of_lag_of_several_deploys_and_of_jobs_taken_back() -> None:
    workers = [
        a_worker("mail", id="old", deploy="a1", started_at=before(days=2)),
        a_worker("mail", id="new", deploy="b2", started_at=before(minutes=40), lag_ms=2_500),
    ]
    found = told(workers=workers, recovered={"mail": 3, "other": 0})
    assert [one.kind for one in found] == ["recovered", "loop lags", "several deploys"]
    assert "a1, b2" in found[2].sentence
    # Workers of one process share its loop, and what is wrong with it.
    process = {"host": "web-3", "pid": 4411}
    lagging = [a_worker(queue, id=queue, lag_ms=lag, **process) for queue, lag in (("mail", 1_500), ("other", 2_500))]
    [one] = told(workers=lagging)
    assert (one.subject, one.sentence) == (
        "other",
        "the event loop of the worker on web-3:4411 runs 2 s late: a handler blocks it",
    )
    fresh = [workers[0], msgspec.structs.replace(workers[1], started_at=before(minutes=20), lag_ms=0)]
    assert told(workers=fresh) == []


def test_schedules_that_are_late_died_or_unreadable_are_told() -> None:
    fine = ScheduleFacts("nightly", "reports", before(seconds=30), None, "", "")
    assert told(schedules=[fine, fine._replace(next_at=None)]) == []
    [late] = told(schedules=[fine._replace(next_at=before(minutes=5))])
    assert late.sentence == "the schedule nightly has not fired its tick of 2026-11-26 03:07:07 UTC, 5 min ago"
    [died] = told(schedules=[fine._replace(failed_at=before(hours=1), error="OSError: full")])
    assert died.sentence == "the schedule nightly died the last time: OSError: full"
    assert [one.kind for one in told(schedules=[fine._replace(problem="newer")])] == ["schedule unreadable"]


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({}, []),
        ({"memory": 84, "max_memory": 100}, []),
        ({"memory": 87, "max_memory": 100}, [("bad", "memory")]),
        ({"memory": 87, "max_memory": 100, "policy": "allkeys-lru"}, [("bad", "memory")]),
        ({"memory": 1, "max_memory": 100, "policy": "allkeys-lru"}, [("bad", "eviction")]),
        ({"policy": "allkeys-lru"}, []),
        ({"persistence": ()}, [("warn", "persistence")]),
        ({"persistence_failed": True}, [("bad", "persistence")]),
        ({"replicas": 2, "replicas_lagging": 1}, [("warn", "replica")]),
        ({"clock_skew_ms": -5_000}, [("warn", "clock")]),
        ({"refused": ("EVALSHA",)}, [("bad", "refused command")]),
        # Those of a user with the rights of an operator.
        ({"refused": ("BLPOP",)}, []),
    ],
)
def test_what_is_wrong_with_the_server(node: Any, expected: Any) -> None:
    given: dict[str, Any] = {"address": "r:6379", "version": "Valkey 9.0", "persistence": ("aof",)}
    nodes = (ServerNode(**{**given, **node}),)
    assert [(one.level, one.kind) for one in told(server=ServerState(kind="redis", nodes=nodes))] == expected
    assert told(server=ServerState(kind="memory", nodes=nodes)) == []


@pytest.mark.anyio
async def test_an_app_tells_what_is_wrong_and_only_of_the_queues_that_are_asked_for(app: App) -> None:
    @app.job(queue="payments", retry=RetryPolicy(max_retries=0))
    async def charge(order: int) -> None:
        raise ConnectionError(f"connection to 10.0.0.{order}:5432 refused")

    @app.job(queue="emails")
    async def mail() -> None: ...

    async with app:
        assert [one for one in await app.problems() if one.queue] == []
        await app.enqueue_many([charge.request(number) for number in range(8)])
        await Worker(app, queues=["payments"]).run_until_empty()
        await mail.delay()
        await app.pause("emails", why="smtp migration")
        found = [one for one in await app.problems() if one.queue]
        assert [(one.level, one.queue, one.kind) for one in found] == [
            ("bad", "payments", "deaths"),
            ("bad", "emails", "paused"),
        ]
        assert "ConnectionError" in str(found[0])
        assert "smtp migration" in str(found[1])
        assert {one.queue for one in await app.problems(queue="emails")} == {"emails"}
        assert await app.problems(queue=["other"]) == []
        lenient = await app.problems(queue="payments", limits=ProblemLimits(deaths=100))
        assert [one.kind for one in lenient] == ["new error"]
        with pytest.raises(ArgumentsError, match="limits"):
            await app.problems(limits=5)  # type: ignore[arg-type]
