"""How an attempt ended, in the words of spans and metrics."""

from __future__ import annotations

import asyncio

from asyncjobs import Cancel, Discard, Retry, Snooze

__all__ = ["COMPLETED", "error_type_of", "is_asked_for", "outcome_of"]

COMPLETED = "completed"

_OUTCOMES: tuple[tuple[type[BaseException], str], ...] = (
    (Retry, "retry"),
    (Snooze, "snooze"),
    (Discard, "discard"),
    (Cancel, "cancel"),
    # A timeout, the sender's wish, a lost lease or the end of the worker: only the executor knows which.
    (asyncio.CancelledError, "interrupted"),
)


def outcome_of(error: BaseException) -> str:
    """Return ``retry``, ``snooze``, ``discard``, ``cancel``, ``interrupted`` or ``failed``."""
    for kind, outcome in _OUTCOMES:
        if isinstance(error, kind):
            return outcome
    return "failed"


def is_asked_for(error: BaseException) -> bool:
    """Return whether a handler raised ``error`` to steer its job, so that it is no failure."""
    return isinstance(error, Retry | Snooze | Discard | Cancel)


def error_type_of(error: BaseException) -> str:
    """Return ``error.type`` as the conventions want it: the full name of the exception's type.

    Built-in types go without their module. Source: OpenTelemetry's Semantic Conventions, "Error attributes".
    """
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
