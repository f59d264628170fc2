"""Which functions can be handlers, and which names jobs can have; the rest is refused where the job is defined."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from types import MethodType
from typing import Any, get_origin

from asyncjobs.core.bounds import shown
from asyncjobs.core.record.header import MAX_NAME_BYTES
from asyncjobs.errors import DefinitionError

__all__ = ["check_importable", "check_returned", "checked_handler", "checked_job_name", "is_async"]


def checked_handler(given: Any, name: str | None) -> Callable[..., Any]:
    """Return the function that ``@job`` decorates; of a static method, the function in it.

    Args:
        given: What is decorated.
        name: The name of the job; ``None`` for the function's own.

    Raises:
        DefinitionError: It can't be a handler.
    """
    function: Callable[..., Any] = given.__func__ if isinstance(given, staticmethod | classmethod) else given
    if isinstance(function, str):
        raise DefinitionError(f"@job decorates functions, not {shown(function)}; a name is given by @job(name='…')")
    if not _is_function(function):
        raise DefinitionError(
            f"@job decorates functions, not {shown(function)}: write a function that calls it, and decorate that"
        )
    own = function.__name__
    if name is None and own == "<lambda>":
        raise DefinitionError("a lambda has no name that its job could have: write it as a def, or add name='…'")
    if _is_method(function):
        raise DefinitionError(
            f"job {own!r} is a method, and a worker has no object to call it on: decorate a function outside of the "
            "class, a static method, or the method of one object, as in job(mailer.send)"
        )
    for layer in _layers(function):
        if _is_generator(layer):
            raise DefinitionError(f"job {own!r} is a generator; a handler returns its result, such as a list")
        if is_async(layer):
            if layer is not function:
                raise DefinitionError(
                    f"job {own!r} is an async function inside of the plain {_kind(function)}, which would return a "
                    "coroutine: let the decorator return an `async def` that awaits the function. If it runs "
                    "the coroutine to its end, make a job of a plain function that calls the decorated one"
                )
            break
    return function


def check_importable(function: Callable[..., Any], name: str) -> None:
    """Raise ``DefinitionError`` if a process could not import ``function``, the handler of the job ``name``."""
    if "<" in function.__qualname__ or isinstance(function, MethodType):
        raise DefinitionError(
            f"job {name!r} runs in a process, which can't import {function.__qualname__}: with "
            "executor='process' a handler is a function at the top of its module"
        )


def check_returned(annotation: Any, name: str) -> None:
    """Raise ``DefinitionError`` if the handler of the job ``name`` is annotated to return what is to be awaited."""
    kind = get_origin(annotation) or annotation
    if isinstance(kind, type) and issubclass(kind, Awaitable):
        raise DefinitionError(
            f"job {name!r} is annotated with `-> {kind.__qualname__}`, but a handler returns its result: make it an "
            "`async def` that awaits, and annotate what it returns then"
        )


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether a call of ``function`` returns a coroutine."""
    return inspect.iscoroutinefunction(_called(function))


def _called(function: Any) -> Any:
    """Return the function that a call runs: of an object, its ``__call__``."""
    return function if inspect.isroutine(function) else type(function).__call__


def _is_function(value: Any) -> bool:
    """Return whether ``value`` is a function whose parameters are known, or an object made callable as one."""
    if not callable(value) or isinstance(value, type):
        return False
    try:
        inspect.signature(value)
    except (TypeError, ValueError):
        # Of many functions that are written in C, the parameters aren't known.
        return False
    is_python = inspect.isroutine(value) or inspect.isfunction(_called(value))
    return is_python and all(hasattr(value, one) for one in ("__name__", "__qualname__", "__module__"))


def _is_method(function: Any) -> bool:
    outside = function.__qualname__.rpartition(".")[0]
    if not outside or outside.endswith("<locals>"):
        return False
    # Those of a method of an object are without the object.
    return next(iter(inspect.signature(function).parameters), None) in ("self", "cls")


def _is_generator(function: Any) -> bool:
    called = _called(function)
    return inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called)


def _layers(function: Any) -> list[Any]:
    """Return ``function`` and those that it wraps, as ``functools.wraps`` notes them, outermost first."""
    found = [function]
    while (beneath := getattr(found[-1], "__wrapped__", None)) is not None and callable(beneath):
        if any(beneath is one for one in found):
            break
        found.append(beneath)
    return found


def _kind(wrapper: Any) -> str:
    # By its own name: in `__qualname__`, it has taken that of what it wraps.
    code = getattr(wrapper, "__code__", None)
    return type(wrapper).__qualname__ if code is None else f"function {code.co_qualname}"


# No surrogates, which UTF-8 has no bytes for.
_NAME = re.compile(r"[^\s\ud800-\udfff]+")


def checked_job_name(name: object) -> str:
    """Return the name of a job.

    Raises:
        DefinitionError: No job can have it.
    """
    size = len(name.encode(errors="surrogatepass")) if isinstance(name, str) else 0
    if not isinstance(name, str) or not 0 < size <= MAX_NAME_BYTES or not _NAME.fullmatch(name):
        raise DefinitionError(
            f"job name {shown(name)}: expected 1 to {MAX_NAME_BYTES} bytes of text without white space"
        )
    return name
