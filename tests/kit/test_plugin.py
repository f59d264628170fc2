"""The plugin of pytest: it costs nothing where it isn't used, and says what is missing."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import pytest_asyncjobs
from tests.kit.suites import PLUGIN, ROOT, run

SHOP = """
from asyncjobs import App

app = App("redis://127.0.0.1:1/0")
number = 5

@app.job
async def send(to: str) -> str:
    return to
"""

TEST = """
from shop import send

def test_jobs(jobs):
    send.delay_sync("ada")
    assert len(jobs.run_sync()) == 1

def test_eager_jobs(eager_jobs):
    send.delay_sync("ada")
    assert len(eager_jobs.attempts) == 1
"""


# Modules of tests are imported before the first of them runs, so this is asked while they are.
NOTHING = """
import sys

was_imported = "asyncjobs" in sys.modules

def test_nothing_is_imported():
    assert not was_imported
"""

OWN = """
import pytest
import other_shop

@pytest.fixture
def asyncjobs_app():
    return other_shop.app
"""


def test_a_run_of_pytest_imports_asyncjobs_only_for_its_fixtures(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "other_shop.py").write_text(SHOP)
    (tmp_path / "test_1_unused.py").write_text(NOTHING)
    (tmp_path / "test_2_settings.py").write_text(TEST)
    (tmp_path / "test_3_own.py").write_text(OWN + TEST.replace("shop", "other_shop"))
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\nasyncjobs_app = shop:app\n")

    said = run("pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", *PLUGIN, cwd=tmp_path)

    assert "5 passed" in said


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        ("", "which App are the jobs of"),
        ("no_such_shop:app", "No module named 'no_such_shop'"),
        ("asyncjobs:Ap", "expected module:name, as in shop:app"),
        ("asyncjobs:__version__", "expected an App, found '"),
    ],
)
def test_a_missing_or_wrong_app_is_told(named: str, problem: str) -> None:
    with pytest.raises(pytest.UsageError, match=problem):
        pytest_asyncjobs._app_of(named)


def test_pytest_finds_the_plugin_by_the_name_of_its_module() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert project["project"]["entry-points"]["pytest11"] == {"pytest_asyncjobs": "pytest_asyncjobs"}
    assert "pytest_asyncjobs.py" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
