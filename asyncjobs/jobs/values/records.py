"""Records of which msgspec can't read a field alone: dataclasses, structs, named tuples and typed dicts."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

__all__ = ["Record", "fields_of"]


def fields_of(annotation: Any) -> dict[str, Any] | None:
    """Return the annotations of a record's fields by their names, ``None`` if ``annotation`` is no record."""
    kind = typing.get_origin(annotation) or annotation
    names: Iterable[str] | None = None
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind) if field.init]
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        names = kind.__struct_fields__
    elif not (hasattr(kind, "__required_keys__") or hasattr(kind, "_field_defaults")):
        return None
    given = dict(zip(getattr(kind, "__parameters__", ()), typing.get_args(annotation), strict=False))
    hints = typing.get_type_hints(kind, include_extras=True)
    return {name: _filled_in(_bare(hints[name]), given) for name in (hints if names is None else names)}


def _bare(annotation: Any) -> Any:
    """Return the annotation of a field of a ``TypedDict`` without ``Required`` and ``NotRequired``."""
    is_marked = typing.get_origin(annotation) in (typing.Required, typing.NotRequired)
    return typing.get_args(annotation)[0] if is_marked else annotation


def _required(kind: Any) -> frozenset[str]:
    """Return the names of the keys that a ``TypedDict`` must have."""
    # In text, as annotations are under `from __future__ import annotations`, Python overlooks the marks.
    origins = {name: typing.get_origin(one) for name, one in typing.get_type_hints(kind, include_extras=True).items()}
    marked = {name for name, origin in origins.items() if origin is typing.Required}
    return frozenset(marked | {name for name in kind.__required_keys__ if origins[name] is not typing.NotRequired})


def _filled_in(annotation: Any, given: dict[Any, Any]) -> Any:
    """Return the annotation of a field with the arguments of its generic class."""
    if isinstance(annotation, typing.TypeVar):
        return given.get(annotation, Any)
    parameters = getattr(annotation, "__parameters__", ()) if typing.get_origin(annotation) else ()
    return annotation[tuple(given.get(one, Any) for one in parameters)] if parameters else annotation


class Record:
    """The objects of a class with declared fields, which are written as a mapping of their names to the values.

    Args:
        annotation: The class, or a generic class with its arguments.
    """

    def __init__(self, annotation: Any) -> None:
        self._kind = typing.get_origin(annotation) or annotation
        self._is_dict = hasattr(self._kind, "__required_keys__")
        self._required = _required(self._kind) if self._is_dict else frozenset()
        #: What makes plain data of each field, and its value of the plain data.
        self.fields: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {}

    def dump(self, value: Any) -> Any:
        """Return ``value`` as plain data; what is no such object is left as it is."""
        if self._is_dict and isinstance(value, dict):
            return {name: dump(value[name]) for name, (dump, _) in self.fields.items() if name in value}
        if self._is_dict or not isinstance(value, self._kind):
            return value
        return {name: dump(getattr(value, name)) for name, (dump, _) in self.fields.items()}

    def load(self, plain: Any) -> Any:
        """Return the object that ``plain`` was made of; raise ``msgspec.ValidationError`` if it is another."""
        if not isinstance(plain, dict):
            raise msgspec.ValidationError(f"Expected `{self._kind.__name__}`, got `{type(plain).__name__}`")
        missing = self._required - plain.keys()
        if missing:
            raise msgspec.ValidationError(f"`{self._kind.__name__}` is missing {', '.join(sorted(missing))}")
        values = {name: load(plain[name]) for name, (_, load) in self.fields.items() if name in plain}
        try:
            return self._kind(**values)
        except Exception as error:
            # What is missing, or what `__post_init__` has raised.
            raise msgspec.ValidationError(str(error)) from error
