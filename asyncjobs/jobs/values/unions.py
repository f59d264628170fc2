"""Unions that msgspec can't read: of two models, or of types that are the same on the wire, as ``UUID | str``."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from asyncjobs.jobs.values.changes import change

__all__ = ["Choice", "Member"]


class Member:
    """One type of a union.

    Args:
        annotation: The type.
        dump: Makes plain data of a value of the type.
        load: Makes a value of the plain data.
    """

    def __init__(self, annotation: Any, dump: Callable[[Any], Any], load: Callable[[Any], Any]) -> None:
        self.dump = dump
        self.load = load
        self.name = _name(annotation)
        self._kinds = tuple(_kinds(annotation))

    def is_of(self, value: Any) -> bool:
        """Return whether ``value`` is of exactly this type."""
        return type(value) in self._kinds

    def takes(self, value: Any) -> bool:
        """Return whether ``value`` is of this type, or of a subclass."""
        return isinstance(value, self._kinds)


def _name(annotation: Any) -> str:
    """Return ``annotation`` as text, without modules: a process for handlers has other names for some."""
    arguments = typing.get_args(annotation)
    if not arguments:
        return str(getattr(annotation, "__qualname__", annotation))
    origin = typing.get_origin(annotation)
    return f"{getattr(origin, '__name__', origin)}[{', '.join(map(_name, arguments))}]"


def _kinds(annotation: Any) -> Iterator[type]:
    """Yield the classes of the values of ``annotation``."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if hasattr(annotation, "__supertype__"):
        yield from _kinds(annotation.__supertype__)
    elif hasattr(annotation, "__value__"):
        yield from _kinds(annotation.__value__)
    elif origin is typing.Annotated:
        yield from _kinds(arguments[0])
    elif origin is typing.Literal:
        yield from map(type, arguments)
    elif origin in (typing.Union, types.UnionType):
        for one in arguments:
            yield from _kinds(one)
    elif hasattr(annotation, "__required_keys__"):
        # A ``TypedDict``, which ``isinstance`` refuses.
        yield dict
    elif isinstance(origin or annotation, type):
        yield origin or annotation


def _is_alike(value: Any, arrived: Any) -> bool:
    """Return whether what ``arrived``, which equals ``value``, holds is of the same types.

    A ``Decimal`` may equal a ``complex`` or a ``Fraction``.
    """
    if isinstance(arrived, dict):
        return all(_is_alike(value[key], one) for key, one in arrived.items())
    if isinstance(arrived, list | tuple):
        return all(map(_is_alike, value, arrived))
    if isinstance(arrived, set | frozenset):
        return all(any(_is_alike(one, other) for one in value) for other in arrived)
    # An ``int`` may be a ``float``, and the value of a class of the program's own may be of its base.
    kind, other = type(value), type(arrived)
    return (kind, other) == (int, float) or issubclass(other, kind) or issubclass(kind, other)


class Choice:
    """The values of a union.

    A value is written as its type is. Only where that would be read as another value, it is written as a mapping of the
    type's name to the value.

    Args:
        members: The types of the union.
        load: Reads a value without the name of its type; by default the first member that can.
        on_the_wire: Returns a value as it is read when nothing is known about it.

    Raises:
        TypeError: Two of the types have the same name.
    """

    def __init__(
        self, members: Sequence[Member], load: Callable[[Any], Any] | None, on_the_wire: Callable[[Any], Any]
    ) -> None:
        self._members = members
        self._by_name = {member.name: member for member in members}
        if len(self._by_name) < len(members):
            names = ", ".join(member.name for member in members)
            raise TypeError(f"can't be decoded: two types of the union have the same name: {names}")
        self._load_unnamed = load or self._load_first
        self._on_the_wire = on_the_wire

    def dump(self, value: Any) -> Any:
        """Return ``value`` as plain data."""
        members = [one for one in self._members if one.is_of(value)]
        # There may be several, as of ``list[Cat] | list[Dog]``.
        for member in members or [one for one in self._members if one.takes(value)]:
            plain = member.dump(value)
            for written in (plain, {member.name: plain}):
                if self._is_read_back(value, written):
                    return written
        # Of none of the types: plain data for one of them, or refused when it is read.
        return value

    def load(self, plain: Any) -> Any:
        """Return the value that ``plain`` was written for."""
        if isinstance(plain, dict) and len(plain) == 1:
            [(name, inner)] = plain.items()
            if name in self._by_name:
                return self._by_name[name].load(inner)
        return self._load_unnamed(plain)

    def _is_read_back(self, value: Any, plain: Any) -> bool:
        try:
            arrived = self.load(self._on_the_wire(plain))
        except msgspec.ValidationError:
            return False
        if type(arrived) is not type(value) or change(value, arrived, takes_plain=False) is not None:
            return False
        return _is_alike(value, arrived)

    def _load_first(self, plain: Any) -> Any:
        for member in self._members:
            try:
                return member.load(plain)
            except (msgspec.ValidationError, ValueError):
                continue
        names = " | ".join(self._by_name)
        raise msgspec.ValidationError(f"Expected `{names}`, got `{type(plain).__name__}`")
