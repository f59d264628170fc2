"""What is written to the wire, and what stays readable for ever."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs import JobState, Priority
from asyncjobs.brokers.redis.records import job_from, new_record
from asyncjobs.core.record.envelope import Envelope, JobError, decode_envelope, decode_final, encode
from asyncjobs.core.record.header import decode_header, encode_header, priority_of
from asyncjobs.core.record.tries import Tries, pack_tries, unpack_tries
from asyncjobs.core.stored import read_ended, read_live
from asyncjobs.errors import EnvelopeError
from asyncjobs.ports import NewJob

NAMES = st.text(min_size=1, max_size=40).filter(lambda text: len(text.encode()) <= 255)

# Written by the first version. These bytes are never to be changed: what they stand for may be in somebody's Redis.
STORED_LIVE = (
    b"1-1\x0a\x00\x04\x01send_emailacmee\x8a\xa1a\x92\xa1x\x05\xa1k\x91\xa1n\xa1s\xcd\x04\xd2\xa1c\xcf\x00\x00\x01\x8b"
    b"\xcf\xe5h\x00\xa1x\xcf\x00\x00\x01\x8b\xcf\xe5h\x01\xa1h\x81\xa1t\xa1p\xa1m\x81\xa1o\x07\xa1r\x02\xa1o\xcd\x03\xe8"
    b"\xa1l\xcd\x07\xd0"
)
STORED_FINAL = (
    b"1c0\x04\x00\x00\x00work\x88\xa1e\x81\xa1a\x91\x01\xa1r\xa2ok\xa1f\x01\xa1d\x02\xa1x\x91\x95\xa1E\xa1m\xa1t\x01\x0a"
    b"\xa1n\x07\xa1s\xcd\x03\xe8\xa1t\xcd\x07\xd0"
)
STORED_TRIES = b"2:1:\x91\x95\xa1E\xa1m\xa1t\x01\x0a"


def test_a_version_1_record_of_a_live_job_stays_readable_for_ever() -> None:
    job = job_from("emails", "id", STORED_LIVE, STORED_TRIES)
    assert (job.name, job.priority, job.tenant, job.acks_early) == ("send_email", Priority.HIGH, "acme", True)
    assert (job.state, job.failures, job.deaths, job.attempt) == (JobState.RETRYING, 2, 1, 4)
    assert job.errors == (JobError("E", "m", "t", 1, 10),)
    envelope = job.envelope
    assert (job.arguments, envelope.keywords, envelope.signature) == (["x", 5], ("n",), 1234)
    assert (job.created_at_ms, envelope.expires_at_ms) == (1_700_000_000_000, 1_700_000_000_001)
    assert (envelope.headers, job.metadata) == ({"t": "p"}, {"o": 7})
    assert (envelope.max_retries, envelope.timeout_ms, envelope.result_ttl_ms) == (2, 1_000, 2_000)


def test_a_version_1_record_of_an_ended_job_stays_readable_for_ever() -> None:
    job = job_from("emails", "id", STORED_FINAL)
    assert (job.name, job.priority, job.state, job.arguments) == ("work", Priority.CRITICAL, JobState.COMPLETED, [1])
    assert (job.result, job.failures, job.deaths, job.fence) == ("ok", 1, 2, 7)
    assert (job.started_at_ms, job.finished_at_ms, len(job.errors)) == (1_000, 2_000, 1)


@given(name=NAMES, key=NAMES | st.just(""), tenant=NAMES | st.just(""), priority=st.sampled_from(Priority))
def test_a_header_says_what_was_put_into_it(name: str, key: str, tenant: str, priority: Priority) -> None:
    record = encode_header(name, priority.value, key, tenant) + b"body"
    header = decode_header(record)
    assert (header.name, header.key, header.tenant, header.priority) == (name, key, tenant, priority)
    assert record[header.end :] == b"body"
    assert priority_of(record) == priority


@pytest.mark.parametrize(("extension", "expected"), [(b"e", True), (b"xe\0", True), (b"\0home", False), (b"", False)])
def test_a_letter_of_the_extension_counts_only_before_a_nul(extension: bytes, expected: bool) -> None:
    record = b"1-2" + bytes((4, 0, 0, len(extension))) + b"work" + extension + b"body"
    header = decode_header(record)
    assert (header.acks_early, record[header.end :]) == (expected, b"body")


@pytest.mark.parametrize("field", ["name", "key", "tenant"])
def test_a_name_that_does_not_fit_its_length_byte_is_refused(field: str) -> None:
    with pytest.raises(EnvelopeError, match="256 bytes"):
        encode_header(**{"name": "n", "priority": 0, field: "x" * 256})  # type: ignore[arg-type]


@given(st.binary(max_size=60))
def test_random_bytes_are_refused_as_what_they_are(data: bytes) -> None:
    kept = NewJob("q", "id", "work", b"")
    for read in (
        decode_header,
        decode_envelope,
        decode_final,
        unpack_tries,
        lambda one: read_live(kept, one),
        lambda one: read_live(kept, b"\x80", one),
        lambda one: read_ended(kept, one, JobState.COMPLETED),
    ):
        for prefix in (b"", b"1-2\x01\x00\x00\x00x", b"1c2\x01\x00\x00\x00x"):
            try:
                read(prefix + data)
            except EnvelopeError:
                continue
    assert 0 <= priority_of(data) <= 3


@given(failures=st.integers(0, 99), deaths=st.integers(0, 99), messages=st.lists(st.text(max_size=20), max_size=4))
def test_tries_say_what_was_put_into_them(failures: int, deaths: int, messages: list[str]) -> None:
    tries = Tries(failures, deaths, tuple(JobError("E", message, "", 1, 1) for message in messages))
    assert unpack_tries(pack_tries(tries)) == tries


def test_unknown_fields_of_a_later_version_are_passed_over() -> None:
    body = msgspec.msgpack.encode({"a": [1], "zz": "from the future"})
    job = read_live(NewJob("q", "id", "work", body), body)
    assert job.arguments == [1]


def test_a_plain_job_costs_few_bytes() -> None:
    arguments = encode(["user@example.com", "Welcome!", "Thanks for signing up."])
    envelope = Envelope(arguments=msgspec.Raw(arguments), signature=2**31)
    record = new_record(NewJob("q", "id", "send_email", encode(envelope), Priority.HIGH.value))
    assert len(record) - len(arguments) <= 30
