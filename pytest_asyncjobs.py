"""The plugin of pytest: fixtures for tests of programs that send jobs. It does nothing where no test asks for one.

asyncjobs itself is imported by the fixtures, so that other test runs don't pay for it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from asyncjobs import App
    from asyncjobs.testing import Kit

__all__ = ["asyncjobs_app", "eager_jobs", "jobs", "pytest_addoption"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting of pytest that names the app."""
    parser.addini("asyncjobs_app", "The App of the fixtures `jobs` and `eager_jobs`, as module:name", default="")


@pytest.fixture
def asyncjobs_app(pytestconfig: pytest.Config) -> App:
    """The app under test: the one that the setting ``asyncjobs_app`` names. Define it anew for an app of your own."""
    return _app_of(pytestconfig.getini("asyncjobs_app"))


def _app_of(named: str) -> App:
    from asyncjobs import App

    if not named:
        raise pytest.UsageError(
            "which App are the jobs of? Name it in the settings of pytest, as in asyncjobs_app = shop:app, or define a "
            "fixture asyncjobs_app that returns it"
        )
    try:
        found = pkgutil.resolve_name(named)
    except (ImportError, AttributeError, ValueError) as error:
        raise pytest.UsageError(f"asyncjobs_app = {named}: {error}; expected module:name, as in shop:app") from error
    if not isinstance(found, App):
        raise pytest.UsageError(f"asyncjobs_app = {named}: expected an App, found {found!r}")
    return found


@pytest.fixture
def jobs(asyncjobs_app: App) -> Iterator[Kit]:
    """The kit of the app: jobs that are sent wait for ``await jobs.run()``. Each test has its own jobs."""
    with asyncjobs_app.testing() as kit:
        yield kit


@pytest.fixture
def eager_jobs(asyncjobs_app: App) -> Iterator[Kit]:
    """The kit of the app, with jobs that run as soon as they are sent."""
    with asyncjobs_app.testing(eager=True) as kit:
        yield kit
