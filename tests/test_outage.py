"""What a part that goes on trying says of its failures, and how long it waits."""

from __future__ import annotations

import logging

import pytest

from asyncjobs.ports.outage import RESTART_PAUSES_S, Outage, pause_after

_log = logging.getLogger("asyncjobs.test")


def test_of_failures_in_a_row_the_first_is_warned_of_and_the_end(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(_log, "%d jobs must wait: %s", "it goes on")
    for number in range(3):
        outage.failed(f"error {number}", 7)
    outage.over()
    outage.over()
    outage.failed("once more", 8)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["7 jobs must wait: error 0", "it goes on", "8 jobs must wait: once more"]


def test_pauses_grow_up_to_the_last_and_begin_again_after_a_success() -> None:
    outage = Outage(_log, "%s")
    pauses = [outage.failed("away") for _ in range(8)]
    assert pauses == [0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 1.0, 1.0]
    outage.over()
    assert outage.next_pause == outage.failed("away") == 0.02


def test_no_failure_needs_no_pause() -> None:
    assert [pause_after(failures, RESTART_PAUSES_S) for failures in (0, 1, 4, 9)] == [0.0, 0.1, 5.0, 5.0]
