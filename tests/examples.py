"""Runs the examples as a reader of them does: as programs of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["EXAMPLES", "WITHIN_S", "environment", "run_example"]

EXAMPLES = Path(__file__).parents[1] / "examples"

#: The longest that an example may take, in seconds.
WITHIN_S = 60

_OURS = ("ASYNCJOBS_", "DATABASE_URL", "OTEL_", "PG", "REDIS_")


def environment(**variables: str) -> dict[str, str]:
    """Return our environment, where ``variables`` alone say which servers there are."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)} | variables


def run_example(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program in the folder of the examples to its end, in the ``environment`` of ``variables``."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=EXAMPLES,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
