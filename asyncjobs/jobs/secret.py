"""``Secret[str]``: the annotation of a parameter whose value is never shown."""

from __future__ import annotations

import typing
from typing import Annotated, Any, TypeVar

__all__ = ["Secret", "is_secret"]

T = TypeVar("T")


class _Mark:
    """Marks an annotation as secret."""

    def __repr__(self) -> str:
        return "secret"


_MARK = _Mark()

Secret = Annotated[T, _MARK]
"""The annotation of a secret parameter: ``card: Secret[str]`` does what ``@job(secret=["card"])`` does.

The handler gets a plain ``str``.
"""


def is_secret(annotation: Any) -> bool:
    """Return whether ``Secret`` stands in an annotation, as in ``Secret[str] | None``, or in a type that it names."""
    return _is_secret(annotation, [])


def _is_secret(annotation: Any, seen: list[Any]) -> bool:
    # ``type Tree = list[Tree]`` leads back to itself.
    if any(one is annotation for one in seen):
        return False
    seen.append(annotation)
    if any(one is _MARK for one in getattr(annotation, "__metadata__", ())):
        return True
    named = (annotation, typing.get_origin(annotation))
    # Of a ``type`` statement and of ``NewType``.
    meant = [getattr(one, what, None) for one in named for what in ("__value__", "__supertype__")]
    return any(_is_secret(one, seen) for one in (*typing.get_args(annotation), *filter(None, meant)))
