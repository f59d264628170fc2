"""Looks into what `python -m build` has made: `python -m tests.packaged FOLDER`, as `nox -s package` runs it."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

from asyncjobs.core.package import DISTRIBUTION, PACKAGE_VERSION

ROOT = Path(__file__).parents[1]
STEM = f"{DISTRIBUTION.replace('-', '_')}-{PACKAGE_VERSION}"
# What a program needs that isn't Python; each is there, or the lists compared below are both wrong.
KINDS = {".css", ".html", ".js", ".lua", ".py", ".svg", ".typed"}
# The plugin of pytest, beside the package, so that pytest can import it alone.
PLUGIN = "pytest_asyncjobs.py"
SDIST = {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "PKG-INFO", "README.md", "noxfile.py", PLUGIN, "pyproject.toml"}
SDIST_FOLDERS = {"asyncjobs", "benchmarks", "docs", "examples", "tests"}


def files_of(package: str) -> set[str]:
    """Return the files of a folder of the source, relative to the root."""
    found = (ROOT / package).rglob("*")
    return {str(one.relative_to(ROOT)) for one in found if one.is_file() and "__pycache__" not in one.parts}


def look_at_wheel(path: Path) -> None:
    """Fail unless a wheel holds the package, whole and alone, and tells its name and version."""
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        entry_points = wheel.read(f"{STEM}.dist-info/entry_points.txt").decode()
        metadata = Parser().parsestr(wheel.read(f"{STEM}.dist-info/METADATA").decode())
    package = {name for name in names if not name.startswith(f"{STEM}.dist-info/")}
    expected = files_of("asyncjobs") | {PLUGIN}
    assert package == expected, package ^ expected
    assert f"pytest_asyncjobs = {PLUGIN.removesuffix('.py')}" in entry_points
    kinds = {Path(name).suffix or Path(name).name for name in package}
    assert kinds >= KINDS, KINDS - kinds
    assert f"{STEM}.dist-info/licenses/LICENSE" in names
    assert (metadata["Name"], metadata["Version"]) == (DISTRIBUTION, PACKAGE_VERSION)


def look_at_sdist(path: Path) -> None:
    """Fail unless a source distribution holds what the tests need, and nothing that lay about."""
    with tarfile.open(path) as sdist:
        names = {member.name.removeprefix(f"{STEM}/") for member in sdist if member.isfile()}
    at_top = {name for name in names if "/" not in name}
    assert at_top - {".gitignore"} == SDIST, at_top ^ SDIST
    for folder in SDIST_FOLDERS:
        within = {name for name in names if name.startswith(f"{folder}/")}
        assert within == files_of(folder), within ^ files_of(folder)
    assert {name.partition("/")[0] for name in names} - at_top == SDIST_FOLDERS


def main() -> None:
    """Look at the wheel and the source distribution of a folder, which are there once each."""
    folder = Path(sys.argv[1])
    made = sorted(one.name for one in folder.iterdir())
    assert made == [f"{STEM}-py3-none-any.whl", f"{STEM}.tar.gz"], made
    look_at_wheel(folder / made[0])
    look_at_sdist(folder / made[1])
    print(f"{made[0]} and {made[1]} hold what they should")


if __name__ == "__main__":
    main()
