"""What can be a job: what could never run is refused where it is defined, with what to write in its place."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from datetime import datetime
from typing import Any

import pydantic
import pytest

from asyncjobs import App, DefinitionError, Worker, job
from asyncjobs.jobs.definition import AsyncJobDefinition, SyncJobDefinition
from tests.waiting import SOON

Function = Callable[..., Any]


async def double(number: int = 1) -> int:
    return 2 * number


def triple(number: int = 1) -> int:
    return 3 * number


def numbers() -> Iterator[int]:
    yield 1


async def async_numbers() -> AsyncIterator[int]:
    yield 1


def plain(function: Function) -> Function:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


def awaiting(function: Function) -> Function:
    @functools.wraps(function)
    async def wrapper(*args: Any) -> Any:
        return await function(*args)

    return wrapper


def in_a_thread(function: Function) -> Function:
    @functools.wraps(function)
    async def wrapper(*args: Any) -> Any:
        return await asyncio.to_thread(function, *args)

    return wrapper


def without_note(function: Function) -> Function:
    def wrapper(number: int = 1) -> Any:
        return function(number)

    return wrapper


class Wrapper:
    """A decorator that is a class."""

    def __init__(self, function: Function) -> None:
        functools.update_wrapper(self, function)
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)


class AsyncWrapper(Wrapper):
    """The same for async functions."""

    async def __call__(self, *args: Any) -> Any:
        return await self._function(*args)


class Mailer:
    """A class of somebody's, with each kind of method."""

    factor = 4

    def send(self, number: int = 1) -> int:
        return self.factor * number

    async def send_async(self, number: int = 1) -> int:
        return self.factor * number

    @classmethod
    def by_class(cls, number: int = 1) -> int:
        return cls.factor * number

    @staticmethod
    async def static(number: int = 1) -> int:
        return 4 * number


def noted(function: Function, *args: Any) -> Function:
    found = functools.partial(function, *args)
    functools.update_wrapper(found, function)
    return found


def coroutine(number: int = 1) -> Coroutine[Any, Any, int]:
    return double(number)


def awaitable(number: int = 1) -> Awaitable[int]:
    return double(number)


def future(number: int = 1) -> asyncio.Future[int]:
    return asyncio.ensure_future(double(number))


async def twice_async(number: int = 1) -> Coroutine[Any, Any, int]:
    return double(number)


METHOD = "is a method, and a worker has no object to call it on: decorate a function"
PLAIN = "let the decorator return an `async def` that awaits the function"
OTHER = "write a function that calls it"
GENERATOR = "is a generator; a handler returns its result"
AWAITABLE = "make it an `async def` that awaits"
REFUSED: dict[str, tuple[Any, str]] = {
    "a method": (Mailer.send, METHOD),
    "an async method": (Mailer.send_async, METHOD),
    "a wrapped method": (plain(Mailer.send), METHOD),
    "a class method, as a class holds it": (vars(Mailer)["by_class"], METHOD),
    "a lambda": (lambda: 1, "write it as a def, or add name="),
    "a wrapped lambda": (plain(lambda: 1), "write it as a def, or add name="),
    "an async function in a plain one": (plain(double), f"inside of the plain function plain.*: {PLAIN}"),
    "an async function in two plain ones": (plain(plain(double)), PLAIN),
    "an async one in a plain one in a plain one": (plain(awaiting(triple)), PLAIN),
    "an async function in an object": (Wrapper(double), f"the plain Wrapper, which would return a coroutine: {PLAIN}"),
    "an async function in a cache": (functools.cache(double), PLAIN),
    "an async function with variants": (functools.singledispatch(double), PLAIN),
    "a generator": (numbers, GENERATOR),
    "an async generator": (async_numbers, GENERATOR),
    "a wrapped generator": (plain(numbers), GENERATOR),
    "a wrapped async generator": (plain(async_numbers), GENERATOR),
    "a context manager": (contextlib.contextmanager(numbers), GENERATOR),
    "an async context manager": (contextlib.asynccontextmanager(async_numbers), GENERATOR),
    "a partial": (functools.partial(double, 1), OTHER),
    "a partial that says of what": (noted(double, 1), OTHER),
    "a class": (Mailer, OTHER),
    "an object that isn't callable": (Mailer(), OTHER),
    "a method of a built-in type": (dict.get, OTHER),
    "a built-in function without parameters to look at": (max, OTHER),
    "a built-in class method without them": (datetime.fromtimestamp, OTHER),
    "a name": ("double", r"a name is given by @job\(name='…'\)"),
    "nothing that is called": (5, OTHER),
    "a function that returns a coroutine": (coroutine, f"-> Coroutine`.*{AWAITABLE}"),
    "a function that returns an awaitable": (awaitable, f"-> Awaitable`.*{AWAITABLE}"),
    "a function that returns a future": (future, f"-> Future`.*{AWAITABLE}"),
    "an async function that returns a coroutine": (twice_async, AWAITABLE),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("decorator", ["app.job", "app.job(…)", "job"])
def test_what_could_never_run_is_refused_at_the_definition_with_the_remedy(
    given: Any, message: str, decorator: str
) -> None:
    app = App("memory://")
    define: Any = {"app.job": app.job, "app.job(…)": app.job(queue="other"), "job": job}[decorator]
    with pytest.raises(DefinitionError, match=message):
        define(given)
    assert not {"double", "send", "<lambda>", "numbers"} & app.registry.names()


def test_a_job_in_a_class_is_refused_unless_it_is_static() -> None:
    app = App("memory://")
    with pytest.raises(DefinitionError, match=METHOD):

        class Refused:
            @app.job
            async def method(self) -> None: ...

    with pytest.raises(DefinitionError, match=METHOD):

        class RefusedToo:
            @classmethod
            @app.job
            async def by_class(cls) -> None: ...

    class Accepted:
        @app.job
        @staticmethod
        async def inside(number: int) -> int:
            return number

        @staticmethod
        @app.job
        async def outside(number: int) -> int:
            return number

    assert isinstance(Accepted.inside, AsyncJobDefinition)
    assert isinstance(Accepted.outside, AsyncJobDefinition)


RUNNING: dict[str, tuple[Function, type, int]] = {
    "an async function": (double, AsyncJobDefinition, 10),
    "a plain function": (triple, SyncJobDefinition, 15),
    "an async function in an async one": (awaiting(double), AsyncJobDefinition, 10),
    "a plain function in an async one": (in_a_thread(triple), AsyncJobDefinition, 15),
    "a plain function in a plain one": (plain(triple), SyncJobDefinition, 15),
    "a function in an object": (Wrapper(triple), SyncJobDefinition, 15),
    "an async function in an async object": (AsyncWrapper(double), AsyncJobDefinition, 10),
    "an async function that pydantic checks": (pydantic.validate_call(double), AsyncJobDefinition, 10),
    "a cached function": (functools.cache(triple), SyncJobDefinition, 15),
    "the method of an object": (Mailer().send, SyncJobDefinition, 20),
    "the async method of an object": (Mailer().send_async, AsyncJobDefinition, 20),
    "a class method": (Mailer.by_class, SyncJobDefinition, 20),
    "a static method": (Mailer.static, AsyncJobDefinition, 20),
    "a static method, as a class holds it": (vars(Mailer)["static"], AsyncJobDefinition, 20),
}


@pytest.mark.anyio
@pytest.mark.parametrize(("function", "kind", "expected"), RUNNING.values(), ids=RUNNING.keys())
async def test_what_can_run_runs_on_the_loop_or_in_a_thread(function: Function, kind: type, expected: int) -> None:
    app = App("memory://")
    defined: Any = app.job(function)
    assert isinstance(defined, kind)
    async with app:
        handle = await defined.delay(5)
        await Worker(app).run_until_empty()
        assert await handle.result(SOON) == expected


@pytest.mark.anyio
@pytest.mark.parametrize("function", [without_note(double), lambda number=1: double(number)])
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
async def test_a_coroutine_that_only_the_run_can_see_fails_the_job_with_the_remedy(function: Function) -> None:
    app = App("memory://")
    defined: Any = app.job(name="hidden")(function)
    async with app:
        handle = await defined.delay(5)
        await Worker(app).run_until_empty()
        [error] = (await handle.refresh()).errors
    assert "a coroutine can't be encoded; await it, in a handler that is an `async def`" in error.message


def test_a_job_is_no_function_of_another_job() -> None:
    app = App("memory://")
    defined = app.job(double)
    with pytest.raises(DefinitionError, match=r"is a job already; make another one of its function: job\.function"):
        App("memory://").job(defined)  # type: ignore[call-overload]
    assert App("memory://").job(defined.function).name == "double"


def test_a_handler_that_no_process_can_import_is_refused_at_the_definition() -> None:
    app = App("memory://")

    def nested() -> int:
        return 1

    for function, name in ((nested, None), (lambda: 1, "named"), (Mailer().send, None)):
        with pytest.raises(DefinitionError, match=r"which can't import .*: .* at the top of its module"):
            app.job(executor="process", name=name)(function)
    app.job(executor="process")(triple)


@pytest.mark.parametrize("aliases", ["earlier", b"earlier", {"earlier"}, None, 5, iter(["earlier"])])
def test_aliases_that_are_no_tuple_are_refused_with_what_to_write(aliases: Any) -> None:
    app = App("memory://")
    with pytest.raises(DefinitionError, match=r"as in aliases=\('earlier(_name)?',\)"):
        app.job(aliases=aliases)(double)
    with pytest.raises(DefinitionError, match=r"as in aliases=\('earlier(_name)?',\)"):
        app.job(aliases=aliases)
    assert app.job(aliases=["earlier"])(double).aliases == ("earlier",)  # type: ignore[arg-type]
