"""A limit for handlers that have none of their own."""

from __future__ import annotations

from collections.abc import Sequence

from asyncjobs.core.duration import Duration, to_ms
from asyncjobs.middleware.base import Middleware

__all__ = ["DefaultTimeout", "default_timeout_ms"]


class DefaultTimeout(Middleware):
    """Gives jobs without a ``timeout`` this one.

    The worker applies it as if the job had been defined with it, wherever the layer stands. So a plain function, which
    can't be stopped, keeps its slot until it returns, and its job is not retried before.

    Args:
        limit: Seconds or ``timedelta``, at least 1 ms.

    Raises:
        ArgumentsError: ``limit`` is no such duration.
    """

    def __init__(self, limit: Duration) -> None:
        self.limit_ms = to_ms("limit", limit, least_ms=1)
        """The limit, in milliseconds."""


def default_timeout_ms(layers: Sequence[Middleware]) -> int | None:
    """Return the shortest limit of the ``DefaultTimeout`` layers among ``layers``; ``None`` without one."""
    return min((one.limit_ms for one in layers if isinstance(one, DefaultTimeout)), default=None)
