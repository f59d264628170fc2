"""The example prints one trace over two jobs."""

from __future__ import annotations

import re

from tests.examples import run_example


def test_the_example_prints_one_trace_over_two_jobs() -> None:
    ended = run_example("telemetry.py")

    assert ended.returncode == 0, ended.stderr
    assert "confirmed to ada@example.com" in ended.stdout
    spans = re.findall(r"^trace (\w{32})  (send|process) (orders|emails)", ended.stdout, re.MULTILINE)
    assert len(spans) == 4
    assert len({trace for trace, _, _ in spans}) == 1
    assert "messaging.process.duration: 2 series" in ended.stdout
