"""Why a job doesn't run that has a group, or needs gates: each reason as figures and as a sentence."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from asyncjobs.core.limits import QueueLimit, Rate
from asyncjobs.core.lines import line_key
from asyncjobs.ports import GateFigures, JobLocation
from tests.api.test_why import NOW, a_job, a_worker, told

LINE = line_key("acme", ["customer=42"])


def at_gate(
    most: int | None = None,
    rate: Rate | None = None,
    opens_at: datetime | None = None,
    ahead: int = 0,
    lines_ahead: int = 0,
    **figures: Any,
) -> JobLocation:
    """Return where a job is whose line waits for a gate."""
    opens_at_ms = None if opens_at is None else round(opens_at.timestamp() * 1_000)
    gate = GateFigures(
        gate="customer=42", limit=QueueLimit(most, rate), opens_at_ms=opens_at_ms, lines=lines_ahead + 1, **figures
    )
    return JobLocation("ready", ahead=ahead, line=LINE, gate=gate, lines_ahead=lines_ahead)


def in_turn(ahead: int, groups_ahead: int, group: str = "acme") -> JobLocation:
    """Return where a job is whose line is in turn."""
    return JobLocation("ready", ahead=ahead, line=line_key(group, ["stripe"]), groups_ahead=groups_ahead)


SOON = NOW + timedelta(milliseconds=20)
LATER = NOW + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("location", "kinds", "text"),
    [
        (
            at_gate(3, running=3, holders=("01JD", "01JE", "01JF"), ahead=117, lines_ahead=2),
            ["gate full"],
            "It waits for customer=42: all its 3 slots are taken (by 01JD, 01JE, 01JF); 117 jobs start before it",
        ),
        # Some of the slots are kept for another line, and not all that run are told.
        (
            at_gate(12, running=11, booked=1, holders=("01JD",), lines_ahead=1),
            ["gate full"],
            "It waits for customer=42: all its 12 slots are taken (by 01JD, …); 1 line waits before its own.",
        ),
        (
            at_gate(1, running=1, holders=("01JD",)),
            ["gate full"],
            "It waits for customer=42: its only slot is taken (by 01JD).",
        ),
        # The limit was lowered while they run.
        (at_gate(1, running=3), ["gate full"], "It waits for customer=42: 3 slots are taken, and it has 1 now."),
        (
            at_gate(rate=Rate(50), opens_at=SOON, ahead=1),
            ["gate rate used up"],
            "It waits for customer=42: the rate 50/s is used up until 2026-11-26 03:12:07 UTC; 1 job starts before it",
        ),
        (
            at_gate(rate=Rate(2, per=3_600), opens_at=NOW + timedelta(minutes=29)),
            ["gate rate used up"],
            "It waits for customer=42: the rate 2/h is used up until 2026-11-26 03:41:07 UTC.",
        ),
        (
            at_gate(opens_at=LATER),
            ["gate closed"],
            "It waits for customer=42: a job has closed it until 2026-11-26 03:12:37 UTC.",
        ),
        (
            at_gate(rate=Rate(50), opens_at=LATER, lines_ahead=1),
            ["gate closed"],
            "It waits for customer=42: a job has closed it until 2026-11-26 03:12:37 UTC; 1 line waits before its own.",
        ),
        (
            at_gate(3, Rate(50), LATER, running=3),
            ["gate full", "gate closed"],
            "It waits for customer=42: all its 3 slots are taken.",
        ),
        # It was let on a moment ago.
        (at_gate(3, running=2), ["should run"], "It should be running"),
        (
            in_turn(3, 12),
            ["in line"],
            "It waits its turn: 3 jobs start before it in its line and 12 groups are before its group acme.",
        ),
        (in_turn(0, 1), ["in line"], "It waits its turn: 1 group is before its group acme."),
        (in_turn(0, 2, ""), ["in line"], "It waits its turn: 2 groups are before the jobs without a group."),
        (in_turn(1, 0), ["in line"], "It waits its turn: 1 job starts before it in its line."),
        (in_turn(0, 0), ["should run"], "It should be running: 3 slots are free, and nothing stands before it."),
    ],
)
def test_a_job_with_gates_or_a_group_says_why_it_waits(location: JobLocation, kinds: list[str], text: str) -> None:
    found = told(a_job(), location, a_worker())
    assert [one.kind for one in found.reasons] == kinds
    assert str(found).startswith(text)


def test_a_full_gate_is_told_in_figures() -> None:
    location = at_gate(3, running=2, booked=1, holders=("01JD", "01JE"), ahead=117, lines_ahead=2)
    [reason] = told(a_job(), location, a_worker()).reasons
    assert (reason.which, reason.in_use, reason.slots, reason.holders) == ("customer=42", 3, 3, ("01JD", "01JE"))
    assert (reason.ahead, reason.lines_ahead, reason.group) == (117, 2, "acme")
    assert str(reason).endswith("; 117 jobs start before it in its line and 2 lines wait before its own.")


def test_taken_slots_of_workers_are_told_with_the_groups_before() -> None:
    found = told(a_job(), in_turn(3, 1), a_worker(running=("a", "b", "c")))
    assert [one.kind for one in found.reasons] == ["no free slot"]
    assert str(found) == (
        "All 3 slots of its workers are taken, and 3 jobs start before it in its line and 1 group is before its group "
        "acme. More workers, or more slots of each, let it start sooner."
    )
