"""The skeleton of the page on brokers keeps the promises that it is about."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from asyncjobs.testing.conformance import Bench

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-broker.md"
BLOCK = re.compile(r"<!-- run -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

KEPT = [
    "test_a_claim_from_many_queues_takes_them_in_order_up_to_its_limit",
    "test_a_claim_repeated_under_its_number_gets_the_same_jobs",
    "test_a_claimed_job_has_all_that_was_sent",
    "test_a_claimed_job_runs_and_is_given_to_nobody_else",
    "test_a_completed_job_keeps_its_result_until_it_expires",
    "test_a_due_time_is_by_the_brokers_clock_and_one_in_the_past_is_now",
    "test_a_failed_attempt_waits_for_its_retry_with_its_error",
    "test_a_lapsed_lease_that_nobody_took_over_can_be_extended",
    "test_a_released_job_goes_back_to_the_front_in_order_with_nothing_counted",
    "test_a_run_that_was_cancelled_ends_with_the_reason",
    "test_a_send_before_the_wait_is_not_missed",
    "test_an_ended_id_is_known_until_its_record_expires",
    "test_an_id_that_waits_is_accepted_once",
    "test_an_idle_worker_is_woken_by_a_send",
    "test_awaiting_gives_up_after_its_timeout",
    "test_every_claim_has_a_fence_of_its_own_that_rises",
    "test_jobs_of_one_priority_come_first_in_first_out",
]


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """What the blocks of the page define."""
    module: dict[str, Any] = {"__name__": "page"}
    for block in BLOCK.findall(PAGE.read_text()):
        exec(compile(block, str(PAGE), "exec", dont_inherit=True), module)
    return module


@pytest.mark.anyio
@pytest.mark.parametrize("name", KEPT)
async def test_the_skeleton_passes(name: str, page: dict[str, Any]) -> None:
    await getattr(page["TestDictBroker"](), name)(Bench(page["DictKit"]()))
