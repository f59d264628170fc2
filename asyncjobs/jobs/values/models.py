"""Values that pydantic writes and reads: models, its own types, and what is annotated with its fields.

pydantic is imported at the first value of one of them, never without.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import sys
import typing
from collections.abc import Hashable, Iterator
from typing import Any

import msgspec

__all__ = ["Adapter", "adapter_of", "has_models", "is_for_pydantic", "is_model", "needs_adapter"]

#: Validators and serializers find it as ``info.context``.
_CONTEXT = {"asyncjobs": True}

_MIN_VERSION = (2, 11)


def is_model(kind: Any) -> bool:
    """Return whether ``kind`` is a class that pydantic writes and reads, such as a model."""
    return hasattr(kind, "__get_pydantic_core_schema__")


class Adapter:
    """Values of one annotation, as pydantic's JSON has them, by the names of the fields.

    Args:
        annotation: What pydantic can build a schema for.

    Raises:
        TypeError: pydantic can't, or is too old.
        NameError: A model names what isn't defined yet.
    """

    def __init__(self, annotation: Any) -> None:
        import pydantic

        if tuple(map(int, pydantic.VERSION.split(".")[:2])) < _MIN_VERSION:
            raise TypeError(f"pydantic {pydantic.VERSION} is too old; install 2.11 or newer")
        try:
            self._adapter = pydantic.TypeAdapter(annotation)
        except pydantic.errors.PydanticUserError as error:
            if error.code == "class-not-fully-defined":
                raise NameError(error.message) from error
            raise TypeError(f"pydantic can't read it: {error.message}") from error
        if not self._adapter.pydantic_complete:
            raise NameError(f"{annotation} names what isn't defined")

    def dump(self, value: Any) -> Any:
        """Return ``value`` as plain data.

        Raises:
            ValueError: pydantic can't write it.
        """
        try:
            try:
                return self._dump(value, "json")
            except UnicodeDecodeError:
                # Bytes that are no text: JSON has no form for them, msgpack has.
                return self._dump(value, "python")
        except Exception as error:
            raise ValueError(f"pydantic can't write a {type(value).__qualname__}: {error}") from error

    def _dump(self, value: Any, mode: typing.Literal["json", "python"]) -> Any:
        return self._adapter.dump_python(
            value, mode=mode, by_alias=False, round_trip=True, warnings=False, context=_CONTEXT
        )

    def load(self, value: Any) -> Any:
        """Return the value that ``dump`` wrote, or plain data as pydantic takes it, with names or with aliases.

        Raises:
            msgspec.ValidationError: pydantic refuses it.
        """
        import pydantic_core

        try:
            try:
                # As JSON, so that a strict model takes a UUID or a datetime from text.
                text = pydantic_core.to_json(value, inf_nan_mode="constants")
            except pydantic_core.PydanticSerializationError:
                return self._adapter.validate_python(value, by_alias=True, by_name=True, context=_CONTEXT)
            return self._adapter.validate_json(text, by_alias=True, by_name=True, context=_CONTEXT)
        except Exception as error:
            # A validator may raise anything.
            raise msgspec.ValidationError(str(error)) from error


@functools.lru_cache(maxsize=1024)
def adapter_of(kind: Hashable) -> Adapter:
    """Return the adapter of a class, made once."""
    return Adapter(kind)


def has_models(annotation: Any) -> bool:
    """Return whether anything in ``annotation`` is for pydantic."""
    return _is_loaded() and any(is_for_pydantic(part) or is_model(part) for part in _parts(annotation))


def needs_adapter(annotation: Any) -> bool:
    """Return whether ``annotation`` says to pydantic what msgspec doesn't see: limits, discriminators, validators."""
    return _is_loaded() and any(map(is_for_pydantic, _parts(annotation)))


def is_for_pydantic(part: Any) -> bool:
    """Return whether ``part`` is metadata of ``Annotated`` that pydantic reads, or a dataclass of pydantic."""
    if isinstance(part, type):
        # msgspec takes it for a dataclass, and runs no validator.
        return "__is_pydantic_dataclass__" in vars(part)
    package = type(part).__module__.partition(".")[0]
    # What ``annotated_types`` says is stored in one way on all machines: it isn't asked whether pydantic is imported.
    return package == "pydantic" or is_model(type(part)) or (package == "annotated_types" and _is_installed())


def _is_loaded() -> bool:
    return "pydantic" in sys.modules or "annotated_types" in sys.modules


@functools.cache
def _is_installed() -> bool:
    return importlib.util.find_spec("pydantic") is not None


def _parts(annotation: Any, seen: dict[int, Any] | None = None) -> Iterator[Any]:
    """Yield the classes of ``annotation`` and the metadata of its ``Annotated``, also those of fields."""
    # By identity, as metadata may have no hash; kept, so that no other object gets the same one.
    seen = {} if seen is None else seen
    if id(annotation) in seen:
        return
    seen[id(annotation)] = annotation
    yield from getattr(annotation, "__metadata__", ())
    origin = typing.get_origin(annotation)
    kind = annotation if origin is None else origin
    inner: list[Any] = [*typing.get_args(annotation)]
    if hasattr(kind, "__value__"):
        inner.append(kind.__value__)
    if isinstance(kind, type):
        yield kind
        # Not those of a ``Struct``, which is msgspec's own.
        if not is_model(kind) and _has_fields(kind):
            inner += typing.get_type_hints(kind, include_extras=True).values()
    for one in inner:
        yield from _parts(one, seen)


def _has_fields(kind: type) -> bool:
    return (
        dataclasses.is_dataclass(kind)
        # A ``TypedDict``, also one of ``typing_extensions``.
        or hasattr(kind, "__required_keys__")
        or hasattr(kind, "_field_defaults")
    )
