"""The load of queues, from figures alone."""

from __future__ import annotations

import msgspec
import pytest

from asyncjobs.app.load import Load, QueueReading, load_of, queue_load
from asyncjobs.core.histogram import bucket_of
from asyncjobs.core.limits import QueueLimit
from asyncjobs.ports import Held, Hold, LimitFigures, PeriodFigures, QueueFigures, Series, WorkerInfo

MINUTE_MS = 60_000
NOW_MS = 1_000 * MINUTE_MS + 30_000


def figures(
    name: str = "default", *, ready: int = 0, running: int = 0, oldest_s: float = 0, paused: bool = False
) -> QueueFigures:
    return QueueFigures(
        name=name,
        held=(Held(Hold("queue"), 0, "", ""),) if paused else (),
        ready=(0, 0, ready, 0),
        parked=0,
        parked_for=(),
        scheduled=0,
        running=running,
        dead=0,
        tried=0,
        oldest_wait_ms=round(oldest_s * 1000),
        succeeded=0,
        failed=0,
        cancelled=0,
        retried=0,
        recovered=0,
        duration_us=0,
        histogram={},
    )


def series(*, arrived: int, ended: int, run_s: float | None = 2.0, failed: int = 0) -> Series:
    """A minute each for the last six minutes."""
    runs = {} if run_s is None else {bucket_of(round(run_s * 1_000_000)): ended}
    minutes = [
        PeriodFigures(
            at_ms=(1_000 - back) * MINUTE_MS, arrived=arrived, succeeded=ended - failed, failed=failed, runs=runs
        )
        for back in range(6, 0, -1)
    ]
    return Series(NOW_MS, minutes)


def worker(*queues: str, slots: int = 4) -> WorkerInfo:
    return WorkerInfo(
        id=f"of {queues}",
        host="host",
        pid=1,
        started_at_ms=1,
        queues=queues,
        concurrency=slots,
        status="idle",
        running=(),
    )


def one_load(own: QueueFigures, minutes: Series, slots: int = 4) -> Load:
    return queue_load(QueueReading(own, minutes), [worker("default", slots=slots)], 60.0)


def test_a_backlog_is_gone_after_what_is_served_beyond_what_comes_in() -> None:
    load = one_load(figures(ready=60, oldest_s=90), series(arrived=60, ended=120))
    assert (load.arrival_rate, load.service_rate) == (1.0, 2.0)
    assert load.drain_s == pytest.approx(60)


@pytest.mark.parametrize(
    ("own", "minutes", "slots"),
    [
        (figures(ready=60, oldest_s=90), series(arrived=120, ended=120), 4),
        (figures(ready=60, oldest_s=90, paused=True), series(arrived=60, ended=120), 4),
        (figures(ready=1, oldest_s=90), series(arrived=0, ended=0), 4),
    ],
)
def test_a_backlog_that_does_not_shrink_is_never_gone(own: QueueFigures, minutes: Series, slots: int) -> None:
    assert one_load(own, minutes, slots).drain_s is None


def test_without_a_worker_it_is_never_gone() -> None:
    queue = QueueReading(figures(ready=60, oldest_s=9), series(arrived=0, ended=120))
    assert load_of([queue], [], 60.0).drain_s is None


def test_a_queue_that_keeps_up_is_soon_empty() -> None:
    load = one_load(figures(ready=10, oldest_s=1), series(arrived=120, ended=120))
    assert load.drain_s == pytest.approx(5)
    assert one_load(figures(), series(arrived=120, ended=120)).drain_s == 0


def test_as_many_slots_are_wanted_as_can_run_what_comes_in_and_the_backlog() -> None:
    # Two jobs a second of 2 s each, and 60 more within a minute.
    assert one_load(figures(), series(arrived=120, ended=120)).wanted_slots == pytest.approx(4, abs=1)
    assert one_load(figures(ready=60), series(arrived=120, ended=120)).wanted_slots == pytest.approx(6, abs=1)


def test_what_runs_keeps_its_slots_and_what_waits_gets_one() -> None:
    assert one_load(figures(running=7), series(arrived=0, ended=0)).wanted_slots == 7
    assert one_load(figures(ready=500), series(arrived=0, ended=0, run_s=None)).wanted_slots == 1
    assert one_load(figures(ready=500, paused=True), series(arrived=5, ended=0)).wanted_slots == 0
    assert one_load(figures(), Series(NOW_MS, [])).wanted_slots == 0


def test_no_more_slots_are_wanted_than_jobs_of_a_limited_queue_may_run() -> None:
    limit = LimitFigures(limit=QueueLimit(running=3), declared=QueueLimit(running=3), is_set=False)
    limited = msgspec.structs.replace(figures(ready=600), limit=limit)
    assert one_load(figures(ready=600), series(arrived=120, ended=120)).wanted_slots > 20
    assert one_load(limited, series(arrived=120, ended=120)).wanted_slots == 3
    two = [QueueReading(one, series(arrived=120, ended=120)) for one in (limited, figures(ready=60))]
    assert load_of(two, [], 60.0).wanted_slots == pytest.approx(9, abs=1)


def test_what_a_limit_by_name_holds_back_wants_no_slots() -> None:
    minutes = series(arrived=0, ended=120)

    def wanted(ready: int, held_back: int) -> int:
        queue = QueueReading(figures(ready=ready, running=3), minutes, held_back)
        load = queue_load(queue, [worker("default")], 60.0)
        assert (load.backlog, load.held_back) == (ready, min(held_back, ready))
        # It is gone in the time in which all of it is served.
        assert load.drain_s == pytest.approx(ready / 2)
        return load.wanted_slots

    assert wanted(600, 0) == pytest.approx(20, abs=1)
    assert wanted(600, 300) == pytest.approx(10, abs=1)
    # The jobs that run keep their slots.
    assert wanted(600, 600) == 3
    assert wanted(600, 700) == 3


def test_what_comes_in_and_is_held_back_wants_no_slots() -> None:
    # In a second 10 come in, and a limit lets one run at once, for two seconds.
    minutes = series(arrived=600, ended=30)

    def wanted(ready: int, held_back: int) -> int:
        queue = QueueReading(figures(ready=ready, running=1), minutes, held_back)
        return queue_load(queue, [worker("default")], 60.0).wanted_slots

    assert wanted(600, 600) in (1, 2)
    assert wanted(600, 300) == pytest.approx(11, abs=1)
    assert wanted(600, 0) == pytest.approx(40, abs=2)


def test_queues_together_count_a_worker_once() -> None:
    workers = [worker("a", "b"), worker("b", slots=2), worker("c", slots=50)]
    minutes = series(arrived=60, ended=60)
    first = QueueReading(figures("a", ready=5, oldest_s=3), minutes)
    second = QueueReading(figures("b", ready=7, oldest_s=20), minutes, held_back=3)
    load = load_of([first, second], workers, 60.0)
    assert (load.backlog, load.held_back, load.oldest_wait_s, load.slots, load.workers) == (12, 3, 20, 6, 2)
    assert (load.arrival_rate, load.service_rate) == (2, 2)


def test_the_first_minute_of_a_queue_counts_by_its_seconds() -> None:
    minute = PeriodFigures(at_ms=1_000 * MINUTE_MS, arrived=60, succeeded=30)
    load = queue_load(QueueReading(figures(), Series(NOW_MS, [minute])), [], 60.0)
    assert (load.arrival_rate, load.service_rate) == (2, 1)
