"""The example prints one trace over two jobs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_example_prints_one_trace_over_two_jobs() -> None:
    ended = subprocess.run(
        [sys.executable, "examples/telemetry.py"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert "confirmed to ada@example.com" in ended.stdout
    spans = re.findall(r"^trace (\w{32})  (send|process) (orders|emails)", ended.stdout, re.MULTILINE)
    assert len(spans) == 4
    assert len({trace for trace, _, _ in spans}) == 1
    assert "messaging.process.duration: 2 series" in ended.stdout
