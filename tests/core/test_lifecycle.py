"""The states of a job and the functions that move it."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs import ConfigurationError, InvalidTransition, JobState, Priority, RetryPolicy
from asyncjobs.core.job import (
    Job,
    cancel_job,
    complete_job,
    create_job,
    fail_job,
    schedule_job,
    start_job,
    transition,
)
from asyncjobs.core.record.envelope import Envelope, JobError, encode
from asyncjobs.core.retry import calculate_retry_delay, prepare_retry
from asyncjobs.core.settlement import (
    TOMBSTONE_MS,
    Cancelled,
    Completed,
    Failed,
    Released,
    Verdict,
    bounded_error,
    settle,
)
from asyncjobs.core.states import TRANSITIONS
from asyncjobs.core.stored import read_ended, read_live
from asyncjobs.ports import NewJob

ERROR = JobError("ValueError", "no", "trace", 1, 1_000)
BODY = encode(Envelope())
KEPT = NewJob("default", "id", "work", BODY)


def pending(**given: object) -> Job:
    return create_job("id", "work", "default", Priority.NORMAL, Envelope(**given))  # type: ignore[arg-type]


def running(**given: object) -> Job:
    return start_job(pending(**given), fence=7, now_ms=1_000)


@pytest.mark.parametrize(("old", "new"), list(itertools.product(JobState, JobState)))
def test_every_pair_of_states_moves_by_the_table_or_raises_with_both_names(old: JobState, new: JobState) -> None:
    job = Job(id="id", name="work", queue="q", priority=Priority.LOW, state=old, envelope=Envelope())
    if new in TRANSITIONS[old]:
        assert transition(job, new).state is new
    else:
        with pytest.raises(InvalidTransition, match=f"{old.value} to {new.value}"):
            transition(job, new)


def test_a_job_goes_from_created_to_completed() -> None:
    job = schedule_job(pending(), 500)
    assert (job.state, job.due_at_ms, job.attempt) == (JobState.PENDING, 500, 1)
    job = start_job(job, fence=7, now_ms=1_000)
    assert (job.state, job.fence, job.started_at_ms, job.due_at_ms) == (JobState.RUNNING, 7, 1_000, None)
    job = complete_job(job, encode(42), 3_000)
    assert (job.state, job.result, job.duration_ms) == (JobState.COMPLETED, 42, 2_000)


def test_a_running_job_cannot_be_scheduled() -> None:
    with pytest.raises(InvalidTransition):
        schedule_job(complete_job(running(), b"", 1), 500)


def test_a_failure_is_counted_for_a_run_and_not_for_a_job_that_never_ran() -> None:
    assert (fail_job(running(), ERROR, 1).failures, fail_job(pending(), ERROR, 1).failures) == (1, 0)


def test_a_cancelled_job_tells_why() -> None:
    assert cancel_job(pending(), "enough", 1).reason == "enough"


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        ("exponential", [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]),
        ("linear", [1_000, 2_000, 3_000, 4_000, 5_000, 6_000]),
        ("constant", [1_000] * 6),
    ],
)
def test_delays_grow_by_their_backoff_up_to_the_cap(backoff: str, expected: list[int]) -> None:
    policy = RetryPolicy(backoff=backoff, cap=10, jitter=False)  # type: ignore[arg-type]
    assert [calculate_retry_delay(policy, failures, 0.9) for failures in range(1, 7)] == expected


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_jitter_keeps_half_of_the_delay_and_never_exceeds_it(failures: int, chance: float) -> None:
    whole = calculate_retry_delay(RetryPolicy(jitter=False), failures, chance)
    assert whole / 2 <= calculate_retry_delay(RetryPolicy(), failures, chance) <= whole <= 60_000


def test_a_retry_waits_for_its_delay_with_the_error_kept() -> None:
    job = prepare_retry(running(), ERROR, RetryPolicy(jitter=False), 0.0, now_ms=5_000)
    assert (job.state, job.failures, job.attempt) == (JobState.RETRYING, 1, 2)
    assert (job.due_at_ms, job.errors) == (6_000, (msgspec.structs.replace(ERROR, started_at_ms=1_000),))


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_retries": -1},
        {"max_retries": True},
        {"max_retries": 1.5},
        {"initial": -1},
        {"cap": float("inf")},
        {"backoff": "random"},
        {"retry_on": (5,)},
        {"give_up_on": ("ValueError",)},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        RetryPolicy(**wrong)  # type: ignore[arg-type]


def test_give_up_on_wins_over_retry_on() -> None:
    policy = RetryPolicy(retry_on=(OSError,), give_up_on=(ConnectionError,))
    covered = [policy.covers(kind) for kind in (OSError, ConnectionResetError, ValueError)]
    assert covered == [True, False, False]


def test_a_success_ends_the_job_with_its_result() -> None:
    settlement = settle(
        running(),
        Completed(encode("r")),
        RetryPolicy(),
        2_000,
        0.0,
        body=BODY,
        result_ttl_ms=90_000,
    )
    assert (settlement.verdict, settlement.ttl_ms, settlement.fence) == (Verdict.COMPLETE, 90_000, 7)
    job = read_ended(KEPT, settlement.body, JobState.COMPLETED)
    assert (job.state, job.result, job.finished_at_ms) == (JobState.COMPLETED, "r", 2_000)


@pytest.mark.parametrize(("left_ms", "result"), [(59_000, encode("r")), (55_001, encode("r")), (55_000, b""), (1, b"")])
def test_a_result_of_few_seconds_lapses_before_the_record(left_ms: int, result: bytes) -> None:
    settlement = settle(running(), Completed(encode("r")), RetryPolicy(), 2_000, 0.0, body=BODY, result_ttl_ms=5_000)
    assert settlement.ttl_ms == TOMBSTONE_MS
    assert read_ended(KEPT, settlement.body, JobState.COMPLETED, left_ms).encoded_result == result


def test_without_a_ttl_the_id_stays_known_for_a_minute_but_the_result_is_not_kept() -> None:
    settlement = settle(running(), Completed(encode("r")), RetryPolicy(), 2_000, 0.0, body=BODY)
    assert settlement.ttl_ms == TOMBSTONE_MS
    assert read_ended(KEPT, settlement.body, JobState.COMPLETED).encoded_result == b""


@pytest.mark.parametrize(
    ("limit", "override", "failures", "verdict"),
    [
        (3, None, 0, Verdict.RETRY),
        (3, None, 2, Verdict.RETRY),
        (3, None, 3, Verdict.DEAD),
        (3, 0, 0, Verdict.DEAD),
        (0, 5, 4, Verdict.RETRY),
    ],
)
def test_a_failure_is_retried_while_retries_are_left(
    limit: int, override: int | None, failures: int, verdict: Verdict
) -> None:
    job = Job(
        id="id",
        name="work",
        queue="q",
        priority=Priority.LOW,
        state=JobState.RUNNING,
        envelope=Envelope(max_retries=override),
        failures=failures,
    )
    assert settle(job, Failed(ERROR), RetryPolicy(max_retries=limit), 2_000, 0.0).verdict is verdict


def test_an_error_not_worth_a_retry_is_final_and_deaths_spend_no_retries() -> None:
    assert settle(running(), Failed(ERROR, retryable=False), RetryPolicy(), 1, 0.0).verdict is Verdict.DEAD
    died = Job(
        id="id", name="w", queue="q", priority=Priority.LOW, state=JobState.RUNNING, envelope=Envelope(), deaths=9
    )
    assert settle(died, Failed(ERROR), RetryPolicy(max_retries=1), 1, 0.0).verdict is Verdict.RETRY


def test_a_released_job_carries_nothing_and_a_cancelled_one_its_reason() -> None:
    released = settle(running(), Released(), RetryPolicy(), 1, 0.0)
    assert (released.verdict, released.tries, released.body, released.entry) == (Verdict.RELEASE, b"", b"", b"")
    cancelled = settle(running(), Cancelled("enough"), RetryPolicy(), 1, 0.0, body=BODY)
    assert read_ended(KEPT, cancelled.body, JobState.CANCELLED).reason == "enough"


def test_errors_are_kept_within_bounds_the_first_and_the_latest() -> None:
    job = running()
    for number in range(50):
        settlement = settle(job, Failed(JobError("E", str(number), "", 1, 1)), RetryPolicy(max_retries=99), 1, 0.0)
        again = read_live(KEPT, BODY, settlement.tries)
        job = start_job(again, 1, 1)
    messages = [error.message for error in job.errors]
    assert messages == ["0", *map(str, range(41, 50))]
    assert job.failures == 50


def test_a_long_message_keeps_its_start_and_a_long_traceback_its_end() -> None:
    error = bounded_error("E", "m" * 9_999, "t" * 99_999 + "cause", 1, 1)
    assert len(error.message) < 2_100
    assert error.traceback.endswith("cause")
    assert len(error.traceback) < 8_300
