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
    """Return whether ``Secret`` stands in an annotation, as in ``Secret[str] | None``."""
    metadata = getattr(annotation, "__metadata__", ())
    return any(one is _MARK for one in metadata) or any(map(is_secret, typing.get_args(annotation)))
