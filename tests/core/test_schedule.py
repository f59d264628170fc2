"""When schedules fire, and what becomes of missed ticks."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.core.schedule import Timing, due_ticks, next_tick, upcoming
from asyncjobs.errors import ArgumentsError

BERLIN = "Europe/Berlin"
HOUR_MS = 3_600_000


def ms(text: str) -> int:
    """Unix milliseconds of an ISO time in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def local(timing: Timing, after: str, count: int) -> list[str]:
    return [tick.isoformat(timespec="minutes") for tick in upcoming(timing, ms(after), count)]


def test_cron_goes_by_the_wall_clock_of_its_time_zone() -> None:
    timing = Timing.of(cron="0 8 * * *", timezone=BERLIN)
    assert local(timing, "2026-03-28T00:00", 2) == ["2026-03-28T08:00+01:00", "2026-03-29T08:00+02:00"]
    assert local(Timing.of(cron="@daily"), "2026-03-28T05:00", 1) == ["2026-03-29T00:00+00:00"]


def test_a_fixed_time_in_the_skipped_hour_fires_right_after_it_and_once() -> None:
    timing = Timing.of(cron="0,30 2 * * *", timezone=BERLIN)
    assert local(timing, "2026-03-28T12:00", 2) == ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]


def test_a_fixed_time_in_the_repeated_hour_fires_once_also_for_who_looks_in_its_midst() -> None:
    timing = Timing.of(cron="30 2 * * *", timezone=BERLIN)
    expected = ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]
    assert local(timing, "2026-10-24T12:00", 2) == expected
    # 02:15 for the second time.
    assert local(timing, "2026-10-25T01:15", 1) == expected[1:]


def test_a_star_goes_by_elapsed_time_through_both_changes() -> None:
    timing = Timing.of(cron="*/30 * * * *", timezone=BERLIN)
    for day in ("2026-03-29T00:00", "2026-10-25T00:00"):
        ticks = [round(tick.timestamp()) for tick in upcoming(timing, ms(day), 8)]
        assert {after - before for before, after in itertools.pairwise(ticks)} == {1_800}


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Australia/Lord_Howe", "2026-10-03"),
        ("Australia/Lord_Howe", "2026-04-04"),
        ("Pacific/Chatham", "2026-09-26"),
        ("Pacific/Chatham", "2026-04-04"),
        ("Antarctica/Troll", "2026-10-24"),
        ("Asia/Pyongyang", "2018-05-04"),
    ],
)
@pytest.mark.parametrize(
    ("cron", "hours", "minutes"),
    [
        ("45 * * * *", range(24), {45}),
        ("15 */6 * * *", range(0, 24, 6), {15}),
        ("*/20 */2 * * *", range(0, 24, 2), {0, 20, 40}),
        ("0 */5 * * * *", range(24), set(range(0, 60, 5))),
    ],
)
def test_no_tick_is_missed_where_clocks_change_by_other_than_an_hour_or_at_another_time(
    zone: str, day: str, cron: str, hours: range, minutes: set[int]
) -> None:
    timing = Timing.of(cron=cron, timezone=zone, missed="all", bound=1_000)
    start = ms(f"{day}T00:00")
    every = range(start + 300_000, start + 2 * 24 * HOUR_MS, 300_000)
    on_the_wall = {tick: datetime.fromtimestamp(tick / 1000, ZoneInfo(zone)) for tick in every}
    expected = [tick for tick, wall in on_the_wall.items() if wall.hour in hours and wall.minute in minutes]
    forwards = [round(tick.timestamp() * 1000) for tick in upcoming(timing, start, len(expected))]
    assert forwards == expected
    assert due_ticks(timing, expected[0], expected[-1]).fire == expected


def test_missed_ticks_in_the_repeated_hour_are_all_found() -> None:
    timing = Timing.of(cron="0,30 2 * * *", timezone=BERLIN, missed="all")
    first = ms("2026-10-25T00:00")
    assert due_ticks(timing, first, ms("2026-10-25T01:15")).fire == [first, first + 1_800_000]


def test_an_interval_is_counted_from_1970_whoever_asks() -> None:
    timing = Timing.of(every_ms=10_000)
    assert next_tick(timing, 25_000) == 30_000
    assert next_tick(timing, 30_000) == 40_000


@pytest.mark.parametrize(
    ("missed", "late_ms", "fire"),
    [
        ("once", 0, [10_000]),
        ("once", 25_000, [30_000]),
        ("once", 900_000, [910_000]),
        ("skip", 25_000, [30_000]),
        ("all", 25_000, [10_000, 20_000, 30_000]),
        ("all", 900_000, list(range(870_000, 910_001, 10_000))),
    ],
)
def test_missed_ticks_of_a_quick_schedule(missed: str, late_ms: int, fire: list[int]) -> None:
    timing = Timing.of(every_ms=10_000, missed=missed, bound=5)
    due = due_ticks(timing, 10_000, 10_000 + late_ms)
    assert (due.fire, due.next_ms) == (fire, fire[-1] + 10_000)


def test_skip_leaves_out_what_is_older_than_a_minute_and_fires_what_is_not() -> None:
    timing = Timing.of(cron="0 8 * * *", missed="skip")
    tick, tomorrow = ms("2026-05-01T08:00"), ms("2026-05-02T08:00")
    assert due_ticks(timing, tick, tick + 59_000) == ([tick], tomorrow)
    assert due_ticks(timing, tick, tick + 61_000) == ([], tomorrow)


def test_a_clock_that_was_set_back_fires_nothing_twice() -> None:
    timing = Timing.of(every_ms=1_000)
    due = due_ticks(timing, 50_000, 50_300)
    assert due.fire == [50_000]
    for now_ms in (40_000, 49_999, 50_999):
        assert due_ticks(timing, due.next_ms, now_ms) == ([], 51_000)
    assert due_ticks(timing, due.next_ms, 51_000).fire == [51_000]


@given(
    st.sampled_from(["*/7 * * * *", "15 * * * *", "30 2 * * *", "0 9-17 * * 1-5", "0 0 1 * *", "10,50 1-3 * * *"]),
    st.sampled_from([ms("2026-03-27T00:00"), ms("2026-10-23T00:00")]),
    st.integers(0, 96 * HOUR_MS),
    st.integers(0, 60 * HOUR_MS),
)
def test_ticks_found_forwards_and_backwards_are_the_same(cron: str, day: int, offset: int, length: int) -> None:
    start = day + offset
    timing = Timing.of(cron=cron, timezone=BERLIN, missed="all", bound=1_000)
    forwards = []
    tick = first = next_tick(timing, start)
    while tick <= start + length:
        forwards.append(tick)
        tick = next_tick(timing, tick)
    due = due_ticks(timing, first, start + length)
    assert (due.fire, due.next_ms) == (forwards, tick)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either cron"),
        ({"cron": "* * * * *", "every_ms": 1_000}, "either cron"),
        ({"cron": "61 * * * *"}, "Bad minute"),
        ({"cron": "@often"}, "expected five fields"),
        ({"cron": "* * * * *", "timezone": "Mars/Olympus"}, "IANA name"),
        ({"every_ms": 1_000, "missed": "maybe"}, "expected 'once', 'skip' or 'all'"),
        ({"every_ms": 1_000, "bound": 0}, "from 1 to 1000"),
    ],
)
def test_a_wrong_schedule_is_refused_with_what_was_expected(options: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentsError, match=message):
        Timing.of(**options)  # type: ignore[arg-type]


def test_upcoming_ticks_are_in_the_schedules_zone() -> None:
    [tick] = upcoming(Timing.of(cron="0 8 * * *", timezone=BERLIN), ms("2026-06-01T00:00"), 1)
    assert tick == datetime(2026, 6, 1, 8, tzinfo=ZoneInfo(BERLIN))
