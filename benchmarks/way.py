"""The way of one job through the files of the package, from ``.delay()`` to its result.

``python -m benchmarks.way`` prints which files a job on the memory broker enters, and how often control passes from one
file to another: how much one must have open to follow a job. ``--trail`` prints each step.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import asyncjobs
from asyncjobs import App

_ROOT = str(Path(asyncjobs.__file__).parent)


async def _trail() -> list[tuple[str, str]]:
    """Return file and function of each call that one warm job makes, in order."""
    app = App("memory://")
    trail: list[tuple[str, str]] = []

    @app.job
    async def hello(number: int) -> int:
        return number + 1

    def note(frame: FrameType, event: str, arg: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(_ROOT):
            trail.append((frame.f_code.co_filename[len(_ROOT) + 1 :], frame.f_code.co_name))

    async with app, app.worker():
        await (await hello.delay(1)).result()
        await asyncio.sleep(0.2)
        sys.setprofile(note)
        try:
            assert await (await hello.delay(1)).result() == 2
        finally:
            sys.setprofile(None)
    return trail


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trail", action="store_true", help="print each step")
    options = parser.parse_args()
    trail = asyncio.run(_trail())
    steps = [(file, [name for _, name in calls]) for file, calls in itertools.groupby(trail, key=lambda one: one[0])]
    if options.trail:
        for file, names in steps:
            print(f"{file}: {' '.join(names)}")
    print(f"files {len({file for file, _ in trail})}, changes of file {len(steps)}, calls {len(trail)}")


if __name__ == "__main__":
    main()
