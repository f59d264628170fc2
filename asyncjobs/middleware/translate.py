"""What exceptions of handlers mean, for all jobs of an app."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncjobs.core.bounds import shown
from asyncjobs.errors import ConfigurationError
from asyncjobs.jobs.context import JobContext
from asyncjobs.jobs.steering import Steering
from asyncjobs.middleware.base import CallNext, Middleware

__all__ = ["Translate"]


class Translate(Middleware):
    """Turns exceptions of handlers into ``Retry``, ``Snooze``, ``Discard`` or ``Cancel``.

    Args:
        table: By exception type, a function that takes the error and returns one of them, or ``None`` to leave the
            error as it is. Of several types that fit, the nearest class is taken. For an error of no type in the table,
            the job's own retry policy decides.

    Raises:
        ConfigurationError: A key of ``table`` is no exception type.

    Example:
        >>> from asyncjobs import Discard, Retry
        >>> Translate({ConnectionError: lambda error: Retry(after=5), LookupError: lambda error: Discard(str(error))})
        Translate(ConnectionError, LookupError)
    """

    def __init__(self, table: Mapping[type[Exception], Callable[[Any], Steering | None]]) -> None:
        for kind in table:
            if not isinstance(kind, type) or not issubclass(kind, Exception):
                raise ConfigurationError(f"Translate has {shown(kind)}: expected exception types")
        self._table = dict(table)

    def __repr__(self) -> str:
        return f"Translate({', '.join(kind.__name__ for kind in self._table)})"

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        try:
            return await call_next(job)
        except Steering:
            raise
        except Exception as error:
            for kind in type(error).__mro__:
                if kind in self._table:
                    translated = self._table[kind](error)
                    if translated is None:
                        raise
                    raise translated from error
            raise
