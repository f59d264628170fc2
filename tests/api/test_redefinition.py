"""A name belongs to one job: another one is refused, and the same one may be defined again."""

from __future__ import annotations

import functools
import importlib
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from asyncjobs import App, DefinitionError
from asyncjobs.jobs import registry as registries
from asyncjobs.jobs.registry import Registry
from tests.waiting import SOON

REFUSED = "two jobs are named 'taken'"


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


def priced(rate: int) -> Callable[[], int]:
    return lambda: rate


def with_default(rate: int) -> Callable[..., int]:
    def price(amount: int = 1, rate: int = rate) -> int:
        return amount * rate

    return price


class Mailer:
    def __init__(self, sender: str) -> None:
        self.sender = sender

    def send(self) -> str:
        return self.sender

    @classmethod
    def kind(cls) -> str:
        return cls.__name__


class FastMailer(Mailer):
    """Another class with the same methods."""


def charge() -> str:
    return "charge"


def refund() -> str:
    return "refund"


def traced(level: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper() -> Any:
            return level, function()

        return wrapper

    return decorate


class Counted:
    """A wrapper that is an object."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function

    def __call__(self) -> Any:
        return self._function()


LAMBDAS = (lambda: 1, lambda: 2)
TEXT = "def taken() -> int: return rate"


def from_text(rate: int) -> Any:
    found: dict[str, Any] = {"rate": rate}
    exec(TEXT, found)
    return found["taken"]


PAIRS = {
    "one wrapper around two functions": (logged(charge), logged(refund)),
    "two products of a factory": (priced(1), priced(2)),
    "two products that differ by a default": (with_default(1), with_default(2)),
    "two lambdas on a line": LAMBDAS,
    "the methods of two objects": (Mailer("a").send, Mailer("b").send),
    "one classmethod of two classes": (Mailer.kind, FastMailer.kind),
    "a wrapper in a wrapper": (logged(logged(charge)), logged(logged(refund))),
    "two wrappers of one function": (traced(1)(charge), traced(2)(charge)),
    "two functions in a wrapper that is an object": (Counted(charge), Counted(refund)),
    "functions with objects of their own": (logged(Mailer("a").send), logged(Mailer("b").send)),
    "functions made of text": (from_text(1), from_text(2)),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
def test_another_job_does_not_take_a_name(pair: tuple[Callable[..., Any], Callable[..., Any]]) -> None:
    app = App("memory://")
    first, second = pair
    app.job(name="taken")(first)
    with pytest.raises(DefinitionError, match=REFUSED):
        app.job(name="taken")(second)
    with pytest.raises(DefinitionError, match=REFUSED):
        app.job(name="other", aliases=("taken",))(second)
    assert app.registry.get("taken").function is first


@pytest.mark.parametrize("function", [one for one, _ in PAIRS.values()], ids=PAIRS.keys())
def test_one_function_may_be_made_a_job_twice(function: Callable[..., Any]) -> None:
    app = App("memory://")
    app.job(name="taken")(function)
    app.job(name="taken")(function)


def test_a_method_of_one_object_may_be_made_a_job_twice() -> None:
    app, mailer = App("memory://"), Mailer("a")
    app.job(name="taken")(mailer.send)
    app.job(name="taken")(mailer.send)


def test_the_same_call_of_a_factory_is_the_same_job() -> None:
    app = App("memory://")
    app.job(name="taken")(priced(1))
    app.job(name="taken")(priced(1))


def test_a_job_that_names_itself_may_be_defined_twice() -> None:
    app = App("memory://")

    def define() -> None:
        @app.job(name="taken")
        def again() -> Any:
            return again.name

    define()
    define()


JOBS = """
import wrappers
from asyncjobs import job

class Mailer:
    def send(self): ...

@job
def plain(options={}): ...

@job(name="wrapped")
@wrappers.logged
def charge(): ...

@job(name="wrapped-too")
@wrappers.logged
def refund(): ...

job(name="lambda")(lambda: 1), job(name="another-lambda")(lambda: 2)
job(name="method")(Mailer().send)
job(name="made")(wrappers.made(object()))

def register():
    @job
    def lazily(): ...

    job(name="lazy-method")(Mailer().send)
    job(name="lazily-wrapped")(wrappers.logged(charge))
"""

WRAPPERS = """
def logged(function):
    calls = []
    def wrapper():
        calls.append(1)
        return function()
    return wrapper

def made(client):
    def use():
        return client
    return use
"""


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module whose jobs are in a default registry of this test."""
    (tmp_path / "wrappers.py").write_text(WRAPPERS)
    (tmp_path / "redefined_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registries, "default_registry", Registry())
    monkeypatch.delitem(sys.modules, "wrappers", raising=False)
    monkeypatch.delitem(sys.modules, "redefined_jobs", raising=False)
    return importlib.import_module("redefined_jobs")


def test_a_module_may_be_reloaded(jobs: ModuleType) -> None:
    old = registries.default_registry.get("wrapped").function
    importlib.reload(jobs)
    assert registries.default_registry.get("wrapped").function is not old
    importlib.reload(sys.modules["wrappers"])
    importlib.reload(jobs)


def test_a_module_whose_lines_have_moved_may_be_reloaded(jobs: ModuleType) -> None:
    path = Path(str(jobs.__file__))
    path.write_text("# One line more.\n" + path.read_text())
    importlib.invalidate_caches()
    importlib.reload(jobs)


def test_a_module_may_be_imported_anew_and_run_as_the_main_one(jobs: ModuleType) -> None:
    del sys.modules["redefined_jobs"]
    importlib.import_module("redefined_jobs")
    runpy.run_path(str(jobs.__file__), run_name="__main__")


def test_jobs_that_a_function_defines_may_be_defined_by_the_reloaded_one(jobs: ModuleType) -> None:
    jobs.register()
    importlib.reload(jobs)
    jobs.register()


def test_a_reloaded_module_does_not_take_a_name_of_another_job(jobs: ModuleType) -> None:
    path = Path(str(jobs.__file__))
    path.write_text(path.read_text().replace('name="wrapped-too"', 'name="wrapped"'))
    importlib.invalidate_caches()
    with pytest.raises(DefinitionError, match="two jobs are named 'wrapped'"):
        importlib.reload(jobs)


@pytest.mark.anyio
async def test_a_job_that_is_defined_again_without_an_alias_has_lost_it_and_workers_start() -> None:
    app = App("memory://")

    def deploy(**options: Any) -> None:
        async def work() -> str:
            return "done"

        app.job(**options)(work)

    deploy(aliases=("earlier", "kept"))
    deploy(aliases=("kept",))
    assert app.registry.names() >= {"work", "kept"}
    assert "earlier" not in app.registry.names()
    async with app, app.worker():
        assert await (await app.registry.get("kept").delay()).result(SOON) == "done"
