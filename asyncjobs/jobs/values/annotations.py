"""Which annotations can be sent: those whose values msgspec, or a hook, builds anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from asyncjobs.jobs.values.hooks import Hooks

__all__ = ["is_exact", "runs_code", "undecodable"]

# Types with code or fields of their own: a subclass is cut to its base, and `__post_init__` may change a value.
_INEXACT = (
    inspect.AnyType,
    inspect.StructType,
    inspect.DataclassType,
    inspect.NamedTupleType,
    inspect.TypedDictType,
)


def undecodable(annotation: Any, hooks: Hooks) -> str:
    """Return why msgspec can't decode values of ``annotation``, empty if it can."""
    try:
        unknown = next((one.cls for one in _customs(annotation) if not hooks.knows(one.cls)), None)
    except (TypeError, RecursionError) as error:
        return f"can't be decoded: {error}"
    if unknown is None:
        return ""
    return (
        f"is annotated with {unknown.__qualname__}, which can't be encoded. Use types that msgspec knows (dataclass, "
        "Struct, datetime, UUID, Decimal, Enum, containers …) or a pydantic model, or tell how by App(encoders=…) and "
        "@app.job."
    )


def is_exact(annotation: Any, hooks: Hooks) -> bool:
    """Return whether every value of ``annotation``, which msgspec can decode, arrives as it was sent."""
    infos = _types(inspect.type_info(annotation), set())
    return not any(isinstance(one, _INEXACT) for one in infos) and all(
        hooks.keeps(one.cls) for one in _customs(annotation)
    )


def runs_code(annotation: Any, hooks: Hooks) -> bool:
    """Return whether models, or encoders of the app, write values of ``annotation``, which msgspec can decode."""
    return any(one.cls is not object and not hooks.keeps(one.cls) for one in _customs(annotation))


def _customs(annotation: Any) -> Iterator[inspect.CustomType]:
    infos = _types(inspect.type_info(annotation), set())
    return (one for one in infos if isinstance(one, inspect.CustomType))


def _types(info: Any, seen: set[int]) -> Iterator[msgspec.inspect.Type]:
    """Yield ``info`` and each type inside it."""
    # A type may hold itself.
    if id(info) in seen:
        return
    seen.add(id(info))
    if isinstance(info, inspect.Type):
        yield info
    if isinstance(info, inspect.Type | inspect.Field):
        for field in type(info).__struct_fields__:
            inner = getattr(info, field)
            for one in inner if isinstance(inner, tuple) else (inner,):
                yield from _types(one, seen)
