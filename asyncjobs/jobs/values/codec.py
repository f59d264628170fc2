"""The codec of an annotation: by msgspec alone where msgspec can, else by a walk through the value."""

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
from typing import Any

import msgspec

from asyncjobs.jobs.values.annotations import is_exact, runs_code, undecodable
from asyncjobs.jobs.values.changes import change
from asyncjobs.jobs.values.hooks import STANDARD, Hooks
from asyncjobs.jobs.values.models import Adapter, has_models, is_for_pydantic, needs_adapter
from asyncjobs.jobs.values.unions import Choice, Member

__all__ = ["ANY", "Codec"]

_Convert = Callable[[Any], Any]

_LISTS: Mapping[Any, Callable[[Iterable[Any]], Any]] = {
    list: list,
    set: set,
    frozenset: frozenset,
    Collection: list,
    Iterable: list,
    Sequence: list,
    MutableSequence: list,
    AbstractSet: set,
    MutableSet: set,
}
_MAPPINGS = (dict, Mapping, MutableMapping)


class Codec:
    """How values of one annotation are written and read.

    Args:
        annotation: The annotation of a parameter or of a return value.
        hooks: For classes that msgspec doesn't know.

    Raises:
        TypeError: Values of the annotation can't be read. The message ends a sentence that begins with the parameter.
    """

    def __init__(self, annotation: Any, hooks: Hooks = STANDARD) -> None:
        self.annotation = annotation
        self._hooks = hooks
        #: The type as which msgspec reads the value.
        self.kind: Any = annotation
        #: What is done with a value before msgspec writes it, and after msgspec has read it; ``None`` for nothing.
        self.dump: _Convert | None = None
        self.load: _Convert | None = None
        #: Whether all that is sent arrives as it was, so that it need not be compared.
        self.is_exact = False
        #: Encodes what a handler returns; raises one of ``ENCODING_ERRORS`` if it can't be kept.
        self.write_result: Callable[[Any], bytes] = self._checked_result
        if undecodable(annotation, hooks) or needs_adapter(annotation):
            self.kind = Any
            try:
                self.dump, self.load = _conversions(annotation, hooks)
            except RecursionError as error:
                raise TypeError("can't be decoded: it contains itself") from error
            return
        self.is_exact = is_exact(annotation, hooks)
        if not runs_code(annotation, hooks):
            self.write_result = hooks.encode_value

    def write(self, value: Any) -> bytes:
        """Return ``value`` as msgpack; raise one of ``ENCODING_ERRORS`` if it can't be encoded."""
        return self._hooks.encode_value(value if self.dump is None else self.dump(value))

    def _checked_result(self, value: Any) -> bytes:
        if isinstance(value, msgspec.Raw):
            # Of a process, which has encoded it.
            return bytes(value)
        encoded = self.write(value)
        try:
            changed = change(value, self.decode(encoded), "result")
        except Exception as error:
            raise ValueError(f"it could not be read back: {error}") from error
        if changed is not None:
            raise ValueError(changed)
        return encoded

    def decode(self, encoded: bytes) -> Any:
        """Return the value that ``encoded`` holds; raise ``msgspec.ValidationError`` if it has another type."""
        value = self._decode(encoded)
        return value if self.load is None else self.load(value)

    @functools.cached_property
    def _decode(self) -> Callable[[bytes], Any]:
        return msgspec.msgpack.Decoder(self.kind, dec_hook=self._hooks.decode).decode


def _conversions(annotation: Any, hooks: Hooks) -> tuple[_Convert, _Convert]:
    """Return what makes plain data of values, and values of the plain data, where msgspec can't do it alone."""
    problem = undecodable(annotation, hooks)
    if not problem and not needs_adapter(annotation):
        return _same, functools.partial(msgspec.convert, type=annotation, dec_hook=hooks.decode)
    if hasattr(annotation, "__value__"):
        try:
            return _conversions(annotation.__value__, hooks)
        except (NameError, RecursionError):
            # An alias that holds itself, such as ``JsonValue``: pydantic reads it by its name.
            return _by_pydantic(annotation, problem)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated and not any(map(is_for_pydantic, annotation.__metadata__)):
        return _conversions(arguments[0], hooks)
    if origin in (typing.Union, types.UnionType):
        return _choice(annotation, arguments, hooks)
    if origin is tuple and arguments[1:] != (...,):
        return _tuple([_conversions(one, hooks) for one in arguments])
    if origin is tuple or origin in _LISTS:
        return _list(origin, _LISTS.get(origin, tuple), *_conversions(arguments[0], hooks))
    if origin in _MAPPINGS and not undecodable(arguments[0], hooks):
        return _mapping(*_conversions(arguments[0], hooks), *_conversions(arguments[1], hooks))
    return _by_pydantic(annotation, problem)


def _by_pydantic(annotation: Any, problem: str) -> tuple[_Convert, _Convert]:
    if not has_models(annotation):
        raise TypeError(problem)
    try:
        adapter = Adapter(annotation)
    except TypeError as error:
        raise TypeError(f"can't be decoded: {error}") from error
    return adapter.dump, adapter.load


def _choice(annotation: Any, arguments: tuple[Any, ...], hooks: Hooks) -> tuple[_Convert, _Convert]:
    members = [Member(one, *_conversions(one, hooks)) for one in arguments]
    load = None
    if has_models(annotation):
        try:
            load = Adapter(annotation).load
        except TypeError:
            # A member is of a class that pydantic doesn't know.
            pass
    choice = Choice(members, load, lambda value: msgspec.msgpack.decode(hooks.encode_value(value)))
    return choice.dump, choice.load


def _same(value: Any) -> Any:
    return value


# -- containers of what msgspec can't do alone. A value that is no such container is written as it is, and refused by
# `load`.


def _list(
    origin: Any, make: Callable[[Iterable[Any]], Any], dump: _Convert, load: _Convert
) -> tuple[_Convert, _Convert]:
    def dump_all(value: Any) -> Any:
        return [dump(one) for one in value] if isinstance(value, (origin, list, tuple)) else value

    return dump_all, lambda value: make(map(load, _expected(list, value)))


def _tuple(members: Sequence[tuple[_Convert, _Convert]]) -> tuple[_Convert, _Convert]:
    def dump_all(value: Any) -> Any:
        if not isinstance(value, list | tuple) or len(value) != len(members):
            return value
        return [dump(one) for (dump, _), one in zip(members, value, strict=True)]

    def load_all(value: Any) -> Any:
        if len(_expected(list, value)) != len(members):
            raise msgspec.ValidationError(f"Expected `array` of length {len(members)}, got {len(value)}")
        return tuple(load(one) for (_, load), one in zip(members, value, strict=True))

    return dump_all, load_all


def _mapping(dump_key: _Convert, load_key: _Convert, dump: _Convert, load: _Convert) -> tuple[_Convert, _Convert]:
    def dump_all(value: Any) -> Any:
        return {dump_key(key): dump(one) for key, one in value.items()} if isinstance(value, Mapping) else value

    return dump_all, lambda value: {load_key(key): load(one) for key, one in _expected(dict, value).items()}


def _expected(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise msgspec.ValidationError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")
    return value


#: Of any value, read as plain data.
ANY = Codec(Any)
