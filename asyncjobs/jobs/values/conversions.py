"""Values that msgspec can't read alone: a walk through containers and records down to what it can, or pydantic."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Mapping,
    MutableMapping,
    MutableSequence,
    MutableSet,
    Sequence,
)
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias

import msgspec

from asyncjobs.jobs.values.annotations import undecodable
from asyncjobs.jobs.values.hooks import Hooks
from asyncjobs.jobs.values.models import Adapter, has_models, is_for_pydantic, needs_adapter
from asyncjobs.jobs.values.records import Record, fields_of
from asyncjobs.jobs.values.unions import Choice, Member

__all__ = ["Builder", "Convert"]

#: Makes plain data of a value, or a value of plain data.
Convert: TypeAlias = Callable[[Any], Any]

_LISTS: Mapping[Any, Callable[[Iterable[Any]], Any]] = {
    list: list,
    set: set,
    frozenset: frozenset,
    tuple: tuple,
    Collection: list,
    Iterable: list,
    Sequence: list,
    MutableSequence: list,
    AbstractSet: set,
    MutableSet: set,
}
_MAPPINGS = (dict, Mapping, MutableMapping)


class Builder:
    """Builds what converts the values of annotations.

    Args:
        hooks: For classes that msgspec doesn't know.
    """

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        # By class and by the text of its arguments: a record may hold itself.
        self._records: dict[tuple[Any, str], Record] = {}

    def conversion(self, annotation: Any) -> tuple[Convert, Convert]:
        """Return what makes plain data of values of ``annotation``, and values of the plain data.

        Raises:
            TypeError: Neither msgspec nor pydantic can read them. The message ends a sentence that begins with the
                parameter.
        """
        problem = undecodable(annotation, self._hooks)
        if not problem and not needs_adapter(annotation):
            return _same, functools.partial(msgspec.convert, type=annotation, dec_hook=self._hooks.decode)
        if hasattr(annotation, "__value__"):
            try:
                return self.conversion(annotation.__value__)
            except (NameError, RecursionError):
                # An alias that holds itself, such as ``JsonValue``: pydantic reads it by its name.
                return self._by_pydantic(annotation, problem)
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated and not any(map(is_for_pydantic, annotation.__metadata__)):
            return self.conversion(arguments[0])
        if origin in (typing.Union, types.UnionType):
            return self._choice(annotation, arguments)
        if origin is tuple and arguments[1:] != (...,):
            return _tuple([self.conversion(one) for one in arguments])
        if origin in _LISTS:
            return _list(origin, _LISTS[origin], *self.conversion(arguments[0]))
        if origin in _MAPPINGS and not undecodable(arguments[0], self._hooks):
            return _mapping(*self.conversion(arguments[0]), *self.conversion(arguments[1]))
        fields = None if is_for_pydantic(origin or annotation) else fields_of(annotation)
        return self._by_pydantic(annotation, problem) if fields is None else self._record(annotation, fields)

    def _choice(self, annotation: Any, arguments: Sequence[Any]) -> tuple[Convert, Convert]:
        load = None
        if has_models(annotation):
            try:
                load = Adapter(annotation).load
            except (TypeError, NameError):
                # A type of the union is none that pydantic knows.
                pass
        encode = self._hooks.encode_value
        choice = Choice(
            [Member(one, *self.conversion(one)) for one in arguments],
            load,
            lambda value: msgspec.msgpack.decode(encode(value)),
        )
        return choice.dump, choice.load

    def _record(self, annotation: Any, fields: Mapping[str, Any]) -> tuple[Convert, Convert]:
        key = typing.get_origin(annotation) or annotation, str(annotation)
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = Record(annotation)
            for name, one in fields.items():
                try:
                    record.fields[name] = self.conversion(one)
                except TypeError as error:
                    raise TypeError(f"has a field {name!r} that {error}") from error
        return record.dump, record.load

    def _by_pydantic(self, annotation: Any, problem: str) -> tuple[Convert, Convert]:
        if not has_models(annotation):
            raise TypeError(problem)
        try:
            adapter = Adapter(annotation)
        except TypeError as error:
            raise TypeError(f"can't be decoded: {error}") from error
        return adapter.dump, adapter.load


def _same(value: Any) -> Any:
    return value


# -- containers. A value that is no such container is written as it is, and refused when it is read.


def _list(origin: Any, make: Callable[[Iterable[Any]], Any], dump: Convert, load: Convert) -> tuple[Convert, Convert]:
    def dump_all(value: Any) -> Any:
        return [dump(one) for one in value] if isinstance(value, (origin, list, tuple)) else value

    return dump_all, lambda value: make(map(load, _expected(list, value)))


def _tuple(members: Sequence[tuple[Convert, Convert]]) -> tuple[Convert, Convert]:
    def dump_all(value: Any) -> Any:
        if not isinstance(value, list | tuple) or len(value) != len(members):
            return value
        return [dump(one) for (dump, _), one in zip(members, value, strict=True)]

    def load_all(value: Any) -> Any:
        if len(_expected(list, value)) != len(members):
            raise msgspec.ValidationError(f"Expected `array` of length {len(members)}, got {len(value)}")
        return tuple(load(one) for (_, load), one in zip(members, value, strict=True))

    return dump_all, load_all


def _mapping(dump_key: Convert, load_key: Convert, dump: Convert, load: Convert) -> tuple[Convert, Convert]:
    def dump_all(value: Any) -> Any:
        return {dump_key(key): dump(one) for key, one in value.items()} if isinstance(value, Mapping) else value

    return dump_all, lambda value: {load_key(key): load(one) for key, one in _expected(dict, value).items()}


def _expected(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise msgspec.ValidationError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")
    return value
