"""The exception behind ``JobFailed``."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from asyncjobs import App, JobFailed, ResultError, RetryPolicy
from asyncjobs.core.text import message_of, type_name
from asyncjobs.jobs.causes import cause_of
from tests.waiting import SOON
from tests.worker import cpu_jobs

pytestmark = pytest.mark.anyio


class Refused(Exception):
    """Of a program."""

    class Softly(LookupError):
        """Nested."""


class WithCode(OSError):
    """Has an ``__init__`` and a ``__str__`` of its own, and counts what is run of it."""

    ran = 0

    def __new__(cls, *args: Any) -> WithCode:
        WithCode.ran += 1
        return super().__new__(cls, *args)

    def __init__(self, code: int, *, why: str) -> None:
        WithCode.ran += 1
        super().__init__(f"{code}: {why}")
        self.code = code


async def test_the_cause_of_a_failed_job_is_of_the_class_that_its_handler_raised(app: App) -> None:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def refuse() -> None:
        raise Refused("order 7")

    async with app, app.worker():
        with pytest.raises(JobFailed) as raised:
            await (await refuse.delay()).result(SOON)
    assert type(raised.value.__cause__) is Refused
    assert raised.value.__cause__.args == ("order 7",)


async def test_the_cause_of_a_job_in_a_process_is_so_too(app: App) -> None:
    async with app, app.worker(queues=["cpu"]):
        with pytest.raises(JobFailed) as raised:
            await (await cpu_jobs.fail.with_options(app=app, max_retries=0).delay("value")).result(SOON)
    assert type(raised.value.__cause__) is ValueError
    assert str(raised.value.__cause__) == "no"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        Refused("no"),
        Refused.Softly("no"),
        TimeoutError("late"),
        FileNotFoundError("gone"),
        ImportError("none"),
        SystemExit("bye"),
        ResultError("lost"),
        JobFailed("1", "x", "y", ""),
        StopIteration("over"),
    ],
)
def test_an_error_is_made_anew_with_its_class_and_its_text(error: BaseException) -> None:
    made = cause_of(type_name(type(error)), message_of(error))
    assert type(made) is type(error)
    assert str(made) == str(error)


def test_no_code_of_a_class_is_run() -> None:
    made = cause_of(f"{__name__}.WithCode", "5: no")
    assert (type(made), str(made), WithCode.ran) == (WithCode, "5: no", 0)
    assert not hasattr(made, "code")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "WorkerDied",
        "UnicodeDecodeError",
        "ExceptionGroup",
        "int",
        "print",
        "os.system",
        "sys.modules",
        "tests.api.test_causes.Gone",
        f"{__name__}.test_no_code_of_a_class_is_run.<locals>.Local",
        "x" * 10_000,
        "a." * 200,
        "\ud800.é",
    ],
)
def test_what_is_no_class_that_can_be_made_has_no_cause(name: str) -> None:
    assert cause_of(name, "no") is None


def test_nothing_is_imported_and_no_function_of_a_module_is_asked() -> None:
    lazy: Any = types.ModuleType("lazy_module_of_a_test")

    def ask(name: str) -> None:
        raise AssertionError(name)

    lazy.__getattr__ = ask
    sys.modules[lazy.__name__] = lazy
    try:
        before = set(sys.modules)
        assert cause_of(f"{lazy.__name__}.Error", "no") is None
        assert cause_of("antigravity.Error", "no") is None
        assert set(sys.modules) == before
    finally:
        del sys.modules[lazy.__name__]
