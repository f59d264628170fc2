"""Which annotations can be sent: those whose values msgspec, or a model of pydantic, builds anew."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["undecodable"]


def undecodable(annotation: Any) -> str:
    """Return why values of ``annotation`` can't be decoded, empty if they can."""
    try:
        found = _undecodable(msgspec.inspect.type_info(annotation), set())
    except (TypeError, RecursionError) as error:
        return f"can't be decoded: {error}"
    if found is None:
        return ""
    return (
        f"is annotated with {found.__qualname__}, which can't be encoded. Use types that msgspec knows (dataclass, "
        "Struct, datetime, UUID, Decimal, Enum, containers …) or a pydantic model."
    )


def _undecodable(info: Any, seen: set[int]) -> type | None:
    """Return the first type inside ``info`` that neither msgspec nor a ``model_validate`` can build."""
    # A type may hold itself.
    if id(info) in seen:
        return None
    seen.add(id(info))
    if isinstance(info, msgspec.inspect.CustomType):
        return None if info.cls is object or hasattr(info.cls, "model_validate") else info.cls
    if isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field):
        for field in type(info).__struct_fields__:
            inner = getattr(info, field)
            for one in inner if isinstance(inner, tuple) else (inner,):
                found = _undecodable(one, seen)
                if found is not None:
                    return found
    return None
