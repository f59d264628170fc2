"""What a program is given, it can name: the types in all public annotations are importable from ``asyncjobs``."""

from __future__ import annotations

import ast
import builtins
import collections.abc
import contextlib
import datetime
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import msgspec
import pytest

import asyncjobs
import asyncjobs.middleware
import asyncjobs.ports
import asyncjobs.testing

FOREIGN = (builtins, typing, types, collections.abc, contextlib, datetime, msgspec)

# Of these a program is given objects, and makes none.
MADE_BY_ASYNCJOBS = (
    asyncjobs.JobContext,
    asyncjobs.JobDefinition,
    asyncjobs.JobHandle,
    asyncjobs.Registry,
    asyncjobs.Sending,
    asyncjobs.SyncApp,
)

# What an `App` is to the rooms below that of the app.
AN_APP = {"SendingApp", "WorkerApp"}

# Authors of brokers, of middleware, and of tests, import what they need from there.
OTHER_MODULES = (asyncjobs.ports, asyncjobs.middleware, asyncjobs.testing)


def annotations(kind: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield where an annotation of a class or function stands, its text, and the names that it may use."""
    if inspect.isfunction(kind):
        yield from of_function(kind, kind.__name__)
        return
    for one in kind.__mro__:
        if one.__module__.partition(".")[0] != "asyncjobs":
            continue
        members = {name: value for name, value in vars(one).items() if is_public(kind, name)}
        functions = list(functions_in(members))
        known = names_known_to(one)
        for name, text in inspect.get_annotations(one).items():
            if is_public(kind, name):
                yield f"{kind.__name__}.{name}", text_of(text), known
        for name, function in functions:
            yield from of_function(function, f"{kind.__name__}.{name}")


def is_public(kind: type, name: str) -> bool:
    if name == "__init__":
        return not issubclass(kind, MADE_BY_ASYNCJOBS)
    return name == "__call__" or not name.startswith("_")


def functions_in(members: dict[str, Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, value in members.items():
        function = getattr(value, "fget", None) or getattr(value, "__func__", value)
        if callable(function) and inspect.isfunction(inspect.unwrap(function)):
            yield name, inspect.unwrap(function)


def of_function(function: Any, where: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for one in (function, *typing.get_overloads(function)):
        for name, text in inspect.get_annotations(one).items():
            yield f"{where}({name})", text_of(text), one.__globals__


def names_known_to(kind: type) -> dict[str, Any]:
    """Return the names of the module in which a class stands, which says that it is of ``asyncjobs``."""
    for _, function in functions_in(vars(kind)):
        if function.__module__ == kind.__module__ or kind.__module__ == "asyncjobs":
            return function.__globals__
    return vars(inspect.getmodule(kind))


def text_of(annotation: Any) -> str:
    # A named tuple and a typed dict have made objects of their annotations.
    return annotation if isinstance(annotation, str) else annotation.__forward_arg__


def unnamed(text: str, known: dict[str, Any]) -> set[str]:
    """Return the names in an annotation by which no program can import what they stand for."""
    names = {node.id for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)}
    return {
        name
        for name in names
        if not any(hasattr(module, name) for module in FOREIGN)
        # Functions check a value, in `Annotated`.
        and not isinstance(known.get(name), TypeVar | ParamSpec | types.ModuleType | types.FunctionType)
        and not any(name in module.__all__ for module in (asyncjobs, *OTHER_MODULES))
        and name not in AN_APP
    }


@pytest.mark.parametrize("name", asyncjobs.__all__)
def test_the_types_of_a_public_name_are_importable_from_asyncjobs(name: str) -> None:
    value = getattr(asyncjobs, name)
    if not isinstance(value, type) and not inspect.isfunction(value):
        # A type of several, such as the words that a method returns.
        return
    missing = {where: names for where, text, known in annotations(value) if (names := unnamed(text, known))}
    assert not missing


def test_what_methods_return_is_what_is_imported_under_its_name() -> None:
    """Of two types of one name, the one that is exported is the one that is meant."""
    for name in asyncjobs.__all__:
        value = getattr(asyncjobs, name)
        if isinstance(value, type):
            for where, text, known in annotations(value):
                for node in ast.walk(ast.parse(text, mode="eval")):
                    if isinstance(node, ast.Name) and node.id in asyncjobs.__all__ and node.id in known:
                        assert known[node.id] is getattr(asyncjobs, node.id), where
