"""Rates and limits as users write them, and how much of a rate is left."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs import ArgumentsError, Rate
from asyncjobs.core.limits import QueueLimit, checked_limit, opens_at_ms, starts_left, used_up


@pytest.mark.parametrize(
    ("text", "rate", "burst", "shown"),
    [
        ("50/s", Rate(50), 5, "50/s"),
        ("1/s", Rate(1), 1, "1/s"),
        ("1000/m", Rate(1_000, per=60), 1, "1000/m"),
        (" 100 / 10 s ", Rate(100, per=timedelta(seconds=10)), 1, "100/10s"),
        ("7/h", Rate(7, 3_600, burst=1), 1, "7/h"),
        ("20000/d", Rate(20_000, timedelta(days=1)), 1, "20000/d"),
        ("120/120s", Rate(120, per=120), 1, "120/2m"),
    ],
)
def test_a_rate_is_written_as_text_or_in_numbers(text: str, rate: Rate, burst: int, shown: str) -> None:
    found = checked_limit(None, text).rate
    assert found == rate
    assert found is not None
    assert (found.burst, str(found)) == (burst, shown)


def test_a_rate_of_less_than_a_second_is_shown_in_seconds() -> None:
    assert str(Rate(3, per=0.25)) == "3/0.25s"


@pytest.mark.parametrize(
    "rate",
    [
        *("", "50", "50/", "/s", "50/w", "-1/s", "1.5/s", "0/s", "1/0s", "5/2d", "٣/s"),
        *("1/99999999999999999999s", "9" * 5_000 + "/s"),
        *(50, True, 0.5, b"1/s", ["1/s"]),
    ],
)
def test_what_is_no_rate_is_refused_in_words(rate: Any) -> None:
    with pytest.raises(ArgumentsError) as refused:
        checked_limit(None, rate)
    assert "expected" in str(refused.value)
    assert "ate" in str(refused.value)


@pytest.mark.parametrize(
    "numbers",
    [
        {"starts": 0},
        {"starts": "5"},
        {"starts": True},
        {"starts": 1, "per": 0},
        {"starts": 1, "per": "s"},
        {"starts": 1, "per": timedelta(days=2)},
        {"starts": 1, "burst": -1},
        {"starts": 1, "burst": 0},
        {"starts": 1, "burst": None},
        {"starts": 1, "burst": 2.5},
    ],
)
def test_the_numbers_of_a_rate_are_checked(numbers: Any) -> None:
    with pytest.raises(ArgumentsError, match=r"Rate: (starts|per|burst)=.*expected"):
        Rate(**numbers)


@pytest.mark.parametrize("running", [0, -1, 1.5, "3", True, False, 10**12])
def test_how_many_may_run_is_a_whole_number_from_1_on(running: Any) -> None:
    with pytest.raises(ArgumentsError, match=r"running=.*expected"):
        checked_limit(running, None)


def test_a_limit_is_told_in_words() -> None:
    assert str(checked_limit(1_500, "50/s")) == "1,500 at once, 50/s"
    assert str(checked_limit(3, None)) == "3 at once"
    assert str(QueueLimit()) == "no limit"


@pytest.mark.parametrize("seed", range(20))
def test_in_any_time_no_more_jobs_start_than_burst_and_rate_allow(seed: int) -> None:
    chance = random.Random(seed)
    rate = Rate(chance.randint(1, 2_000), chance.choice([0.5, 1, 7, 60]), chance.choice([1, 2, 30]))
    now_ms, used_ms, started = 1_700_000_000_000.0, 0.0, []
    for _ in range(300):
        left = starts_left(rate, used_ms, now_ms)
        count = chance.randint(0, min(left, 40))
        used_ms = used_up(rate, used_ms, now_ms, count)
        started += [now_ms] * count
        opens_ms = opens_at_ms(rate, used_ms, now_ms)
        assert (opens_ms is None) == (starts_left(rate, used_ms, now_ms) > 0)
        # Not before: a worker that wakes then finds something.
        assert opens_ms is None or starts_left(rate, used_ms, opens_ms) > 0
        now_ms = opens_ms if opens_ms is not None and chance.random() < 0.5 else now_ms + chance.randint(0, 200)
    for first in range(0, len(started), 7):
        for last in range(first, len(started), 11):
            allowed = rate.burst + (started[last] - started[first]) / rate.step_ms
            assert last - first + 1 <= allowed + 1e-3


def test_a_rate_that_is_always_used_up_gives_what_it_says() -> None:
    rate = Rate(50, burst=5)
    now_ms, used_ms, started = 1_000_000, 0.0, 0
    while now_ms < 1_020_000:
        left = starts_left(rate, used_ms, now_ms)
        used_ms, started = used_up(rate, used_ms, now_ms, left), started + left
        now_ms = opens_at_ms(rate, used_ms, now_ms) or now_ms + 1
    assert 990 <= started <= 1_010
