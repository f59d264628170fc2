"""The test files of examples/testing, as users would write them, in processes of their own: each with its plugins."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os

import pytest

from tests.kit.suites import PLUGIN, ROOT, run

SUITES = ROOT / "examples" / "testing"


@pytest.mark.parametrize("plugin", ["pytest-asyncio", "anyio"])
def test_suites_of_users_pass_under(plugin: str) -> None:
    settings = "anyio.ini"
    if plugin == "pytest-asyncio":
        settings = "pytest.ini"
        if importlib.util.find_spec("pytest_asyncio") is None:
            pytest.skip("pytest-asyncio is not installed")
    elif tuple(map(int, importlib.metadata.version("anyio").split(".")[:2])) < (4, 11):
        pytest.skip("anyio_mode, which the suite sets, came with anyio 4.11")

    said = run("pytest", "-q", "-p", "no:cacheprovider", *PLUGIN, "-c", settings, cwd=SUITES)

    # No test is left out.
    written = sum(path.read_text().count("\ndef test_") for path in SUITES.glob("test_*.py"))
    written += sum(path.read_text().count("\nasync def test_") for path in SUITES.glob("test_*.py"))
    assert f"{written} passed" in said
    assert "skipped" not in said


def test_a_suite_of_a_user_of_django_passes() -> None:
    pytest.importorskip("django")

    said = run("django", "test", "test_shop", "--settings", "settings", cwd=SUITES / "django_site")

    assert "Ran 4 tests" in said


def test_mypy_accepts_the_suites_strictly() -> None:
    files = sorted(str(path) for path in SUITES.glob("*.py"))

    said = run("mypy", "--strict", "--config-file", os.devnull, "--cache-dir", os.devnull, *files, cwd=SUITES)

    assert "Success" in said
