"""Ids, priorities, the order of queues, durations and histograms."""

from __future__ import annotations

import math
import os
import random
import threading
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs import ArgumentsError, Priority
from asyncjobs.core.duration import to_ms
from asyncjobs.core.histogram import bucket_of, mean_ms, percentile_ms
from asyncjobs.core.identity import time_of
from asyncjobs.core.priority import is_ageing_claim, weighted_order
from asyncjobs.jobs.ids import IdSource


def test_ids_are_26_characters_rise_and_tell_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    source, now_ns = IdSource(), 1_700_000_000_000_000_000
    monkeypatch.setattr("asyncjobs.jobs.ids.time.time_ns", lambda: now_ns)
    made = [source() for _ in range(3_000)]
    assert made == sorted(set(made))
    assert {len(one) for one in made} == {26}
    assert {time_of(one) for one in made} == {1_700_000_000_000}


def test_ids_rise_while_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    source, times = IdSource(), iter([5_000, 4_000, 3_000, 6_000])
    monkeypatch.setattr("asyncjobs.jobs.ids.time.time_ns", lambda: next(times) * 1_000_000)
    made = [source() for _ in range(4)]
    assert made == sorted(set(made))


def test_ids_of_many_threads_never_repeat() -> None:
    source, made = IdSource(), []

    def make() -> None:
        made.extend([source() for _ in range(5_000)])

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 40_000


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_makes_other_ids_than_its_parent() -> None:
    from asyncjobs.jobs.ids import new_id

    new_id()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, "".join(new_id() for _ in range(100)).encode())
        os._exit(0)
    mine = {new_id() for _ in range(100)}
    os.waitpid(child, 0)
    text = os.read(read, 2_600).decode()
    theirs = {text[n : n + 26] for n in range(0, 2_600, 26)}
    assert len(theirs) == 100
    assert not mine & theirs


def test_what_is_no_id_of_ours_tells_no_time() -> None:
    assert [time_of(one) for one in ("", "order:7", "u" * 26)] == [0, 0, 0]


@pytest.mark.parametrize("given_", ["high", "HIGH", Priority.HIGH])
def test_a_priority_is_known_by_its_name_in_any_case(given_: str) -> None:
    assert Priority.parse(given_) is Priority.HIGH


@pytest.mark.parametrize("given_", ["hihg", 1, None])
def test_an_unknown_priority_is_refused_with_the_known_ones(given_: object) -> None:
    with pytest.raises(ArgumentsError, match="critical, high, normal, low"):
        Priority.parse(given_)  # type: ignore[arg-type]


def test_weights_decide_how_often_a_queue_comes_first_and_none_is_left_out() -> None:
    chance = random.Random(7)
    first = {"a": 0, "b": 0}
    for _ in range(4_000):
        order = weighted_order({"a": 3, "b": 1}, [chance.random(), chance.random()])
        assert sorted(order) == ["a", "b"]
        first[order[0]] += 1
    assert 0.70 < first["a"] / 4_000 < 0.80


@given(st.integers(0, 100))
def test_the_ageing_share_is_kept_exactly(percent: int) -> None:
    claims = sum(is_ageing_claim(number, percent / 100) for number in range(1, 1_001))
    assert abs(claims - 10 * percent) <= 1


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_a_percentile_is_within_five_percent_of_the_exact_one(durations_us: list[int], share: float) -> None:
    histogram: dict[int, int] = {}
    for duration in durations_us:
        histogram[bucket_of(duration)] = histogram.get(bucket_of(duration), 0) + 1
    exact = sorted(durations_us)[math.floor(share * (len(durations_us) - 1))] / 1000
    found = percentile_ms(histogram, share)
    assert found is not None
    assert abs(found - exact) <= 0.05 * exact + 1e-9


def test_figures_of_nothing_are_nothing() -> None:
    assert (percentile_ms({}, 0.5), mean_ms(0, 0)) == (None, None)


@pytest.mark.parametrize(("value", "expected"), [(1, 1_000), (0.25, 250), (timedelta(minutes=1), 60_000)])
def test_a_duration_is_seconds_or_a_timedelta(value: object, expected: int) -> None:
    assert to_ms("timeout", value) == expected


@pytest.mark.parametrize("value", ["5", None, True, float("nan"), float("inf"), -1, timedelta(seconds=-1)])
def test_what_is_no_duration_is_refused_by_the_settings_name(value: object) -> None:
    with pytest.raises(ArgumentsError, match="timeout="):
        to_ms("timeout", value)
