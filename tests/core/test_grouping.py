"""Which dead jobs are of one group, and what its heading says."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.core.grouping import Heading, fixed_group, group_of, normalised, read_heading
from asyncjobs.core.record.envelope import JobError

FRAMES = """\
Traceback (most recent call last):
  File "/srv/asyncjobs/worker/execution/callers.py", line 40, in call
    return await handler()
  File "/srv/shop/db/pool.py", line {line}, in acquire
    return pool.connect()
  File "/usr/lib/python3.13/site-packages/psycopg/connection.py", line 99, in connect
    raise ConnectionError
  File "/usr/lib/python3.13/socket.py", line 12, in create
    raise
ConnectionError: no
"""


def dead(
    message: str = "no", *, kind: str = "ValueError", trace: str = "", name: str = "charge"
) -> tuple[str, Heading]:
    group = group_of(name, JobError(kind, message, trace, 1, 1_000))
    return group[:16].decode(), read_heading(group[16:])


@pytest.mark.parametrize(
    ("message", "heading"),
    [
        ("order 1007 of 12 was declined", "order <n> of 12 was declined"),
        ("no user 7f3a1c9e-0b1d-4c5e-9f00-aa11bb22cc33 here", "no user <uuid> here"),
        ("job 01M8ACMRE8BQS6ESV9AZR20027 is gone", "job <id> is gone"),
        ("commit 9f3c1e7a2b lost, at 0x7fe2", "commit <hex> lost, at <hex>"),
        ("refused by 10.0.0.7:5432", "refused by <ip>:<n>"),
        ("refused by 2001:db8::7", "refused by <ip>"),
        ("late: 2026-01-31T08:00:00.123+01:00", "late: <time>"),
        ("late: 12:30:45.1", "late: <time>"),
        ("GET https://api.example.com/v1/7?key=secret failed", "GET <url> failed"),
        ("no such file: '/srv/data/ada/report.csv'", "no such file: '<path>'"),
        (r"no such file: C:\data\ada.csv", "no such file: <path>"),
        ("ada.lovelace@example.com bounced", "<email> bounced"),
        ("expected 'yes', not 'a long text of somebody who should not be read here'", "expected 'yes', not <text>"),
        ("first line\nsecond line", "first line"),
        ("retry 3 of 5", "retry 3 of 5"),
        ("a/b testing is on", "a/b testing is on"),
        ("std::vector and a::b", "std::vector and a::b"),
        ("", ""),
    ],
)
def test_a_heading_has_placeholders_for_what_differs_from_job_to_job(message: str, heading: str) -> None:
    assert normalised(message) == heading


def test_the_group_goes_by_name_type_message_and_the_last_frame_of_ones_own_code() -> None:
    group, heading = dead("no", trace=FRAMES.format(line=88))
    assert heading == Heading("charge", "ValueError", "no", "db/pool.py:88 in acquire")
    # The line moves with each change of the file.
    assert dead("no", trace=FRAMES.format(line=93))[0] == group
    others = [
        dead("no", trace=FRAMES.format(line=88).replace("acquire", "release")),
        dead("no", trace=FRAMES.format(line=88), name="refund"),
        dead("no", trace=FRAMES.format(line=88), kind="KeyError"),
        dead("yes", trace=FRAMES.format(line=88)),
        dead("no"),
    ]
    assert len({group, *(one for one, _ in others)}) == 6


def test_where_all_frames_are_of_packages_it_is_the_last_of_these() -> None:
    trace = '  File "/venv/lib/python3.13/site-packages/redis/client.py", line 7, in send\n    raise\n'
    assert dead(trace=trace)[1].frame == "redis/client.py:7 in send"


def test_a_windows_path_and_a_group_of_exceptions_have_a_frame() -> None:
    trace = '  | Traceback:\n  |   File "C:\\shop\\db\\pool.py", line 7, in acquire\n  |     raise\n'
    assert dead(trace=trace)[1].frame == "db/pool.py:7 in acquire"


def test_what_a_broker_buries_is_of_the_group_that_its_words_make() -> None:
    group = fixed_group("charge", "WorkerDied", "a worker died")
    assert group[:16].decode() == dead("a worker died", kind="WorkerDied")[0]
    assert read_heading(group[16:]) == Heading("charge", "WorkerDied", "a worker died")


def test_a_heading_that_can_not_be_read_is_empty() -> None:
    assert read_heading(b"") == read_heading(b"junk") == read_heading(b"\xc1") == Heading()


@given(st.text(), st.text(), st.text(), st.text())
def test_any_text_makes_a_small_heading(name: str, kind: str, message: str, trace: str) -> None:
    error = JobError(kind, message * 50, f'  File "{trace}", line 7, in {trace}\n', 1, 1_000)
    group = group_of(name * 50, error)
    assert len(group) <= 16 + 4 * 259 + 200
    assert isinstance(read_heading(group[16:]), Heading)


@pytest.mark.parametrize("part", ["a", "1", "-", "/", "/a", ":", "0:", "@", ".", "a@", "'", '"', "f0", "1.", "a.b@"])
def test_no_message_takes_long(part: str) -> None:
    error = JobError("E", part * 5_000, f'  File "{part * 2_000}\n' * 4, 1, 1_000)
    began = time.process_time()
    group_of("charge", error)
    assert time.process_time() - began < 0.25
