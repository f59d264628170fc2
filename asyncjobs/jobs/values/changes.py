"""Whether what arrives is what was sent."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import msgspec

__all__ = ["change"]

# What a program may give in place of an object that is made of it, such as the fields of a model.
_PLAIN = (str, bytes, int, float, type(None), list, tuple, dict, set, frozenset)

_ABSENT = object()

_BY_IDENTITY: Any = object.__eq__


def change(sent: Any, arrived: Any, where: str = "", *, takes_plain: bool = True) -> str | None:
    """Return how ``arrived``, what was sent and read again, differs from ``sent``; ``None`` if it doesn't.

    A list may arrive in place of a tuple.

    Args:
        sent: The value that was sent.
        arrived: The same value after it was encoded and decoded.
        where: Where in the argument the value is, such as ``.items[0]``.
        takes_plain: Whether an object may arrive that was made of plain data. What a model holds was made before.
    """
    try:
        if sent is arrived or sent == arrived:
            return None
    except Exception:
        # Objects that can't be compared as a whole are compared by their fields.
        pass
    if arrived is _ABSENT:
        return f"{where} would not arrive"
    if sent is _ABSENT:
        return f"{where} isn't there and would arrive as {arrived!r:.100}"
    if isinstance(sent, dict) and isinstance(arrived, dict):
        pairs = [(f"[{key!r:.40}]", value, arrived.get(key, _ABSENT)) for key, value in sent.items()]
        pairs += [(f"[{key!r:.40}]", _ABSENT, arrived[key]) for key in arrived.keys() - sent.keys()]
        return _first(pairs, where, takes_plain)
    if isinstance(sent, list | tuple) and isinstance(arrived, list | tuple) and len(sent) == len(arrived):
        items = zip(sent, arrived, strict=True)
        return _first(((f"[{index}]", *pair) for index, pair in enumerate(items)), where, takes_plain)
    if isinstance(sent, float) and isinstance(arrived, float) and sent != sent and arrived != arrived:
        return None
    # A generic model without its arguments arrives with them.
    if isinstance(arrived, type(sent)):
        names = _fields(sent)
        if names is not None:
            takes_plain = takes_plain and not hasattr(sent, "model_fields_set")
            pairs = [(f".{name}", _get(sent, name), _get(arrived, name)) for name in names]
            return _first(pairs, where, takes_plain)
        if type(sent).__eq__ is _BY_IDENTITY:
            return None
    elif takes_plain and isinstance(sent, _PLAIN) and not isinstance(arrived, _PLAIN):
        return None
    return f"{where or 'it'} {_difference(sent, arrived)}"


def _first(pairs: Iterable[tuple[str, Any, Any]], where: str, takes_plain: bool) -> str | None:
    changes = (change(sent, arrived, where + step, takes_plain=takes_plain) for step, sent, arrived in pairs)
    return next((one for one in changes if one is not None), None)


def _fields(value: Any) -> list[str] | None:
    """Return the names of the fields that make ``value`` what it is, ``None`` for an object without declared fields."""
    kind = type(value)
    if isinstance(value, msgspec.Struct):
        return list(kind.__struct_fields__)
    if hasattr(kind, "model_fields"):
        return [*kind.model_fields, *(value.model_extra or ())]
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind) if field.compare]
    return None


def _get(value: Any, name: str) -> Any:
    return getattr(value, name, _ABSENT)


def _difference(sent: Any, arrived: Any) -> str:
    kind, other = type(sent).__qualname__, type(arrived).__qualname__
    if hasattr(sent, "get_secret_value"):
        return f"is a {kind}, which is written as asterisks"
    if kind != other:
        return f"is of type {kind} and would arrive as {other}"
    return f"is {sent!r:.100} and would arrive as {arrived!r:.100}"
