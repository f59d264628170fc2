"""What is wrong with the arguments of a call, as its error says it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from asyncjobs.errors import closest
from asyncjobs.jobs.values.changes import change
from asyncjobs.jobs.values.codec import Codec
from asyncjobs.jobs.values.hooks import ENCODING_ERRORS

__all__ = ["Argument", "changed", "misfit", "unencodable", "wrongly_typed"]


def misfit(signature: inspect.Signature, count: int, names: Sequence[str], given: str) -> str | None:
    """Return what is wrong with a call, as the end of a sentence; ``None`` if Python could make it.

    Args:
        signature: The parameters.
        count: The number of positional arguments.
        names: The names of the keyword arguments.
        given: How the arguments came here, as in "3 were given".
    """
    parameters = signature.parameters.values()
    kinds = {one.kind for one in parameters}
    positional = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    by_name = [one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    if count > len(positional) and inspect.Parameter.VAR_POSITIONAL not in kinds:
        return f"takes {len(positional)} positional arguments, but {count} were {given}."
    named = [name for name in names if name in by_name]
    for name in positional[:count]:
        if name in named:
            return f"got two values for {name!r}."
    for name in names:
        if name not in named and inspect.Parameter.VAR_KEYWORD not in kinds:
            return f"has no parameter {name!r}.{closest(name, by_name)}"
    required = [
        one.name
        for one in parameters
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    missing = [name for name in required if name not in positional[:count] and name not in named]
    return f"is missing {', '.join(map(repr, missing))}." if missing else None


class Argument(NamedTuple):
    """One argument of a call, and the codec of its parameter."""

    name: str
    codec: Codec
    value: Any
    is_secret: bool = False


def unencodable(arguments: Iterable[Argument]) -> str | None:
    """Return which of the arguments can't be encoded, and what to send in its place; ``None`` if each can."""
    for name, codec, value, is_secret in arguments:
        try:
            codec.write(value)
        except ENCODING_ERRORS as error:
            why = type(error).__name__ if is_secret else error
            return (
                f"argument {name!r} of type {type(value).__qualname__} can't be encoded ({why}); "
                "send an id, or a dataclass, Struct, pydantic model or other type that msgspec encodes"
            )
    return None


def wrongly_typed(arguments: Iterable[Argument]) -> str | None:
    """Return which of the arguments can't be read as its annotation; ``None`` if each can."""
    for name, codec, value, is_secret in arguments:
        try:
            codec.decode(codec.write(value))
        except Exception as error:
            misfit = f"argument {name!r} does not fit its annotation {inspect.formatannotation(codec.annotation)}"
            if is_secret:
                return f"{misfit}; given was a {type(value).__qualname__}, which is secret"
            return f"{misfit}: {error}; given was {value!r:.100}"
    return None


def changed(arguments: Iterable[Argument], arrived: Iterable[Any]) -> str | None:
    """Return which of the arguments would arrive as another value, and how; ``None`` if none would."""
    for (name, codec, value, is_secret), other in zip(arguments, arrived, strict=True):
        problem = change(value, other, name)
        if problem is not None:
            told = "it is secret, and would arrive as another value" if is_secret else problem
            return (
                f"argument {name!r}, annotated {inspect.formatannotation(codec.annotation)}, can't be sent as it is: "
                f"{told}; the page 'What can be an argument' says what to do"
            )
    return None
