"""A job as plain data: its keys, and data that JSON has no form for."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from asyncjobs.core.job import Job, cancel_job, complete_job, create_job, fail_job, start_job
from asyncjobs.core.priority import Priority
from asyncjobs.core.record.envelope import Envelope, JobError
from asyncjobs.core.view import job_details, job_summary

ID = "01K9ZV2M8X4T6C0QBN7R5D3W1A"
SENT_MS = 1_767_225_600_000


def job(*arguments: Any, name: str = "send", tenant: str = "", metadata: dict[str, Any] | None = None) -> Job:
    raw = msgspec.Raw(msgspec.msgpack.encode(arguments))
    envelope = Envelope(arguments=raw, created_at_ms=SENT_MS, metadata=metadata or {})
    return create_job(ID, name, "emails", Priority.HIGH, envelope, tenant=tenant)


def as_json(view: msgspec.Struct) -> Any:
    return json.loads(msgspec.json.encode(view))


def test_a_waiting_job_in_plain_data() -> None:
    sent = job(1, "a", tenant="acme", metadata={"for": "x"})
    waiting = msgspec.structs.replace(sent, due_at_ms=SENT_MS + 500, parameters=("number", "text"))
    assert as_json(job_summary(waiting)) == {
        "id": ID,
        "name": "send",
        "queue": "emails",
        "state": "pending",
        "priority": "high",
        "tenant": "acme",
        "attempt": 1,
        "arguments": {"number": 1, "text": "a"},
        "metadata": {"for": "x"},
        "created_at": "2026-01-01T00:00:00Z",
        "due_at": "2026-01-01T00:00:00.500000Z",
        "started_at": None,
        "duration_ms": None,
        "worker": None,
    }


def test_a_running_job_in_plain_data() -> None:
    runs = start_job(job(), 1, SENT_MS + 1_000)
    told = as_json(job_summary(msgspec.structs.replace(runs, worker="w-1", seen_at_ms=SENT_MS + 3_500)))
    assert (told["state"], told["worker"], told["started_at"]) == ("running", "w-1", "2026-01-01T00:00:01Z")
    assert told["duration_ms"] == 2_500


def test_an_ended_job_in_plain_data() -> None:
    ended = complete_job(start_job(job(), 1, SENT_MS), msgspec.msgpack.encode({1: b"x"}), SENT_MS + 2_000)
    told = as_json(job_details(ended))
    assert (told["state"], told["result"], told["reason"]) == ("completed", {"1": "eA=="}, None)
    assert (told["finished_at"], told["duration_ms"]) == ("2026-01-01T00:00:02Z", 2_000)
    assert as_json(job_details(cancel_job(job(), "not needed", SENT_MS)))["reason"] == "not needed"


def test_a_dead_job_in_plain_data() -> None:
    error = JobError("LookupError", "no such user", "Traceback …", 1, SENT_MS + 1_000)
    dead = fail_job(start_job(job("ada", 7), 1, SENT_MS), error, SENT_MS + 2_000)
    assert as_json(job_details(dead)) == {
        "id": ID,
        "name": "send",
        "queue": "emails",
        "state": "failed",
        "priority": "high",
        "tenant": None,
        "attempt": 1,
        "arguments": {"0": "ada", "1": 7},
        "metadata": {},
        "created_at": "2026-01-01T00:00:00Z",
        "due_at": None,
        "started_at": "2026-01-01T00:00:00Z",
        "duration_ms": 2_000,
        "worker": None,
        "finished_at": "2026-01-01T00:00:02Z",
        "result": None,
        "reason": None,
        "failures": 1,
        "deaths": 0,
        "errors": [
            {
                "attempt": 1,
                "started_at": "2026-01-01T00:00:00Z",
                "at": "2026-01-01T00:00:01Z",
                "type": "LookupError",
                "message": "no such user",
                "traceback": "Traceback …",
                "worker": None,
            }
        ],
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({1: "one"}, {"1": "one"}),
        (b"bytes", "Ynl0ZXM="),
        ({(1, 2): "a pair"}, "{(1, 2): 'a pair'}"),
        ([{None: 1}], "[{None: 1}]"),
    ],
)
def test_what_json_has_no_form_for_is_shown_all_the_same(value: Any, shown: Any) -> None:
    told = job(value, "beside", metadata={"key": value})
    assert as_json(job_details(told))["arguments"] == {"0": shown, "1": "beside"}
    assert as_json(job_details(told))["metadata"] == as_json(job_summary(told))["metadata"] == {"key": shown}


@pytest.mark.parametrize(
    "damaged",
    [
        job(1, name=""),
        msgspec.structs.replace(job(), envelope=Envelope(arguments=msgspec.Raw(b"\x91\xa2\xff\xfe"))),
        msgspec.structs.replace(job(), envelope=Envelope(arguments=msgspec.Raw(b"\x92\x01"))),
        msgspec.structs.replace(job(), envelope=Envelope(arguments=msgspec.Raw(b"\x90"), keywords=("text",))),
    ],
)
def test_arguments_that_can_not_be_read_are_none(damaged: Job) -> None:
    assert job_details(damaged).arguments is None


@pytest.mark.parametrize("spent", [0, 30])
@pytest.mark.parametrize("depth", [10, 300, 420, 450, 480, 850, 900, 930, 950, 970, 990])
@pytest.mark.parametrize("level", [b"\x91", b"\x81\xa1k"], ids=["lists", "mappings"])
def test_a_value_that_is_nested_deep_can_be_encoded_to_json_and_printed(depth: int, spent: int, level: bytes) -> None:
    raw = msgspec.Raw(b"\x91" + level * depth + b"\x01")
    told = msgspec.structs.replace(job(), envelope=Envelope(arguments=raw))

    def told_as_json(calls: int) -> Any:
        if calls:
            return told_as_json(calls - 1)
        view = job_details(told)
        assert str(view.arguments)
        return msgspec.json.format(msgspec.json.encode([[view]]))

    assert b"arguments" in told_as_json(spent)
