"""Which layer of middleware raised an error."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from types import CodeType
from typing import Any

from asyncjobs.middleware.base import Middleware
from asyncjobs.middleware.chain import innermost, overrides

__all__ = ["Blame"]


class Blame:
    """Finds the layer that raised an error itself, rather than letting through what came from further in.

    The traceback tells: it ends in the layer if what is further in isn't part of it.
    """

    def __init__(self, layers: Sequence[Middleware]) -> None:
        self._codes: dict[CodeType, str] = {}
        for one in layers:
            code = getattr(inspect.unwrap(type(one).process), "__code__", None)
            if code is not None and overrides(one, "process"):
                self._codes[code] = type(one).__qualname__

    def of(self, error: BaseException) -> str | None:
        """Return the name of the layer that raised ``error``, ``None`` if it came from the handler."""
        if not self._codes:
            return None
        found: str | None = None
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            if code is _innermost_code():
                return None
            found = self._codes.get(code, found)
            trace = trace.tb_next
        return found


@functools.cache
def _innermost_code() -> CodeType:
    async def nothing(job: Any) -> None: ...

    return innermost(nothing).__code__
