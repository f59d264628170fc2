"""How a handler says what it needs: ``db: Session = Inject(session)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from asyncjobs.errors import DefinitionError

__all__ = ["Inject", "Injected", "Scope", "resource", "scope_of"]

F = TypeVar("F", bound=Callable[..., Any])

Scope = Literal["worker", "job"]

_SCOPE = "__asyncjobs_scope__"


class Injected:
    """The default of a parameter that the worker fills in."""

    __slots__ = ("provider",)

    def __init__(self, provider: Callable[..., Any]) -> None:
        self.provider = provider

    def __repr__(self) -> str:
        return f"Inject({getattr(self.provider, '__qualname__', self.provider)})"


def Inject(provider: Callable[..., Any]) -> Any:  # noqa: N802 - it stands where a value does, as a class would
    """Return the default of a handler's parameter that gets what ``provider`` provides.

    ``provider``: a function, a coroutine function, or a generator of either kind that yields once and cleans up behind
    the ``yield``; a function made by ``contextlib`` from such a generator will do. It may itself have parameters with
    ``Inject``, and one annotated with ``JobContext``. A job gets each of its own resources once, and they are closed in
    reverse order when its handler has ended, also by failure, timeout, cancellation, a lost lease and shutdown: the
    exception is raised at the ``yield``. Mark a provider with ``@resource(scope="worker")`` to share it.

    The parameter is no argument of the job: ``.delay()`` knows nothing of it. Raises ``DefinitionError`` for a provider
    that can't be called; what else can't be resolved is an error when the worker starts.
    """
    if not callable(provider):
        raise DefinitionError(f"Inject({provider!r}): expected a function that provides the resource")
    return Injected(provider)


def resource(*, scope: Scope) -> Callable[[F], F]:
    """Say how long what a provider provides lives: ``worker``, opened at the worker's start, or ``job`` (the default).

    Raises ``DefinitionError`` for another scope.
    """
    if scope not in ("worker", "job"):
        raise DefinitionError(f"scope={scope!r}: expected 'worker' or 'job'")

    def mark(provider: F) -> F:
        setattr(provider, _SCOPE, scope)
        return provider

    return mark


def scope_of(provider: Callable[..., Any]) -> Scope | None:
    """Return the scope that ``provider`` was marked with, if it was."""
    found: Scope | None = getattr(provider, _SCOPE, None)
    return found
