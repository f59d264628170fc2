"""Runs suites of users in processes of their own, each with its plugins and settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["PLUGIN", "ROOT", "run"]

ROOT = Path(__file__).parents[2]
WITHIN_S = 240

#: The plugin is named, for where the package isn't installed.
PLUGIN = ("-p", "pytest_asyncjobs")


def run(*command: str, cwd: Path) -> str:
    """Run a module of Python, and return what it says; fail if it fails."""
    # What pytest-xdist has set is for this run alone.
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    path = os.pathsep.join(filter(None, [str(ROOT), own.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd,
        env={**own, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
