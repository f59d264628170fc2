"""What the package is called and needs is said alike wherever it is said."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from asyncjobs.core.package import DISTRIBUTION, install_command
from tests.servers import LANES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/reference/requirements.md"
TEXTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(
            one
            for folder in ("asyncjobs", "benchmarks", "docs", "examples", "tests")
            for one in (ROOT / folder).rglob("*")
            if one.suffix in {".html", ".js", ".lua", ".md", ".py", ".service", ".yaml"} or "Dockerfile" in one.name
        ),
    ]
)
# Of a stranger: not a path, and not a part of another name.
STRANGER = re.compile(r"(?<![-\w./])asyncjobs\[\w|\binstall +[\"']?asyncjobs(?![-\w./])")
EXTRAS = re.compile(re.escape(DISTRIBUTION) + r"\[([\w,]+)\]")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def rows(table: int) -> list[list[str]]:
    """Return the cells of a table of the page."""
    found = re.findall(r"^\|[-|]+\|\n((?:\|.*\n)+)", PAGE.read_text(), re.MULTILINE)[table]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()]


def test_the_name_on_the_index_is_said_in_one_place(project: dict[str, Any]) -> None:
    assert project["name"] == DISTRIBUTION


def test_no_text_tells_to_install_the_package_of_a_stranger() -> None:
    said = {str(one.relative_to(ROOT)): STRANGER.findall(one.read_text()) for one in TEXTS}
    # This one tells what was wrong, and the page how to get rid of it.
    for known in ("docs/decisions/0022-name-on-the-index.md", "docs/reference/requirements.md"):
        said.pop(known)
    assert {path: found for path, found in said.items() if found} == {}


def test_each_extra_that_a_text_names_is_there(project: dict[str, Any]) -> None:
    named = {extra for one in TEXTS for found in EXTRAS.findall(one.read_text()) for extra in found.split(",")}
    code = "\n".join(one.read_text() for one in TEXTS if one.suffix == ".py")
    named |= set(re.findall(r"install_command\([\"'](\w+)[\"']\)", code))
    assert named <= set(project["optional-dependencies"])
    assert install_command("cli") == "pip install 'asyncjobs-redis[cli]'"


def test_the_page_tells_each_extra_and_what_it_brings(project: dict[str, Any]) -> None:
    told = {row[0].strip("`"): row[2].split(", ") for row in rows(0)}
    brings = {
        extra: sorted(re.split(r"[\[>=<;]", one)[0] for one in needed)
        for extra, needed in project["optional-dependencies"].items()
    }
    assert told == brings


def test_each_python_that_the_page_tells_has_a_session(project: dict[str, Any]) -> None:
    told = [row[0] for row in rows(1)]
    classified = [one.rpartition(" ")[2] for one in project["classifiers"] if "Python :: 3." in one]
    [sessions] = re.findall(r"^PYTHONS = (\[.*\])$", (ROOT / "noxfile.py").read_text(), re.MULTILINE)
    assert told == classified == ast.literal_eval(sessions)
    assert project["requires-python"] == f">={told[0]}"
    assert [row[1] for row in rows(1)] == [f"`nox -s tests-{one}`" for one in told]


def test_each_server_that_the_page_tells_has_a_lane() -> None:
    assert sorted(row[2].strip("`") for row in rows(2)) == sorted(lane.name for lane in LANES)
