"""``app.sync`` has a twin of each verb of the app that is awaited."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from asyncjobs import App, JobHandle
from asyncjobs.app.sync import SyncApp

# Not a verb of the app: it waits for the result of a handle.
OF_HANDLES = {"result"}


def methods(owner: type) -> dict[str, Callable[..., Any]]:
    """Return the public methods of a class, those that it inherits included."""
    return {name: found for name, found in inspect.getmembers(owner, inspect.isfunction) if name[0] != "_"}


def verbs(owner: type) -> set[str]:
    """Return the names of the methods that are awaited; a context manager's function is a generator beneath."""
    return {name for name, found in methods(owner).items() if inspect.iscoroutinefunction(inspect.unwrap(found))}


def test_each_verb_that_is_awaited_has_a_twin_and_each_twin_a_verb() -> None:
    assert len(verbs(App)) > 20
    assert set(methods(SyncApp)) - OF_HANDLES == verbs(App)


def test_a_verb_without_a_twin_is_noticed() -> None:
    class Extended(App):
        async def new_verb(self) -> None: ...

    assert verbs(Extended) - verbs(App) == {"new_verb"}
    assert not hasattr(SyncApp, "new_verb")


@pytest.mark.parametrize("name", sorted(verbs(App)))
def test_a_twin_has_the_name_and_the_parameters_of_its_verb(name: str) -> None:
    twin = getattr(SyncApp, name)
    assert twin.__name__ == name
    assert inspect.signature(twin) == inspect.signature(getattr(App, name))
    assert not inspect.iscoroutinefunction(twin)


def test_waiting_for_a_result_takes_the_parameters_of_the_handle() -> None:
    _, handle, *others = inspect.signature(SyncApp.result).parameters.values()
    assert handle.name == "handle"
    assert others == list(inspect.signature(JobHandle.result).parameters.values())[1:]
