"""The vendored files of the dashboard: ``python -m tests.vendored`` compares them with those of their npm packages."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import NamedTuple

__all__ = ["FOLDER", "Vendored", "vendored"]

FOLDER = resources.files("asyncjobs.admin.dashboard") / "static" / "vendor"


class Vendored(NamedTuple):
    """One row of the table of vendored files."""

    file: str
    package: str
    version: str
    source: str
    licence: str
    sha256: str


def vendored() -> Iterator[Vendored]:
    """Yield the rows of the table."""
    for line in (FOLDER / "README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and len(cells[-1]) == 64:
            yield Vendored(*cells)


def differing() -> list[str]:
    """Return the files that are not as their packages on npm have them."""
    found = []
    for one in vendored():
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["npm", "pack", "--silent", f"{one.package}@{one.version}"], cwd=folder, check=True)
            [package] = Path(folder).glob("*.tgz")
            with tarfile.open(package) as files:
                file = files.extractfile(f"package/{one.source}")
                if file is None or hashlib.sha256(file.read()).hexdigest() != one.sha256:
                    found.append(one.file)
    return found


if __name__ == "__main__":
    if wrong := differing():
        raise SystemExit(f"not as in their packages: {', '.join(wrong)}")
