"""How a handler says what it needs: ``db: Session = Inject(session)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from asyncjobs.core.bounds import shown
from asyncjobs.errors import DefinitionError

__all__ = ["Inject", "Injected", "ResourceScope", "resource", "scope_of"]

F = TypeVar("F", bound=Callable[..., Any])

ResourceScope = Literal["worker", "job"]
"""To what a resource belongs."""

_SCOPE = "__asyncjobs_scope__"


class Injected:
    """The default of a parameter that the worker fills in."""

    __slots__ = ("provider",)

    provider: Callable[..., Any]
    """What provides the resource."""

    def __init__(self, provider: Callable[..., Any]) -> None:
        self.provider = provider

    def __repr__(self) -> str:
        return f"Inject({getattr(self.provider, '__qualname__', self.provider)})"


def Inject(provider: Callable[..., Any]) -> Any:  # noqa: N802 - it stands where a value does, as a class would
    """Return the default of a parameter of a handler that the worker fills in with a resource.

    The parameter is no argument of the job: ``.delay()`` doesn't take it. A job gets each of its resources once. They
    are closed in reverse order when its handler has ended, also by failure, timeout, cancellation, a lost lease and
    shutdown: the exception is raised at the ``yield``. ``@resource(scope="worker")`` shares a resource between jobs.

    Args:
        provider: A function or a coroutine function that returns the resource, or a generator of either kind that
            yields it once and cleans up after the ``yield``; what ``contextlib`` makes of such a generator will do too.
            It may have parameters with ``Inject`` itself, and one annotated with ``JobContext``.

    Raises:
        DefinitionError: ``provider`` can't be called. What else can't be resolved is an error when the worker starts.

    Example:
        ``async def order(number: int, db: Session = Inject(session)) -> None: …``
    """
    if not callable(provider):
        raise DefinitionError(f"Inject({shown(provider)}): expected a function that provides the resource")
    return Injected(provider)


def resource(*, scope: ResourceScope) -> Callable[[F], F]:
    """Return a decorator of a provider that says how long its resource lives.

    Args:
        scope: ``worker``, from the worker's start to its end, or ``job``, for one attempt, as without the decorator.

    Raises:
        DefinitionError: There is no such scope.

    Example:
        ``@resource(scope="worker")``
    """
    if scope not in ("worker", "job"):
        raise DefinitionError(f"scope={shown(scope)}: expected 'worker' or 'job'")

    def mark(provider: F) -> F:
        setattr(provider, _SCOPE, scope)
        return provider

    return mark


def scope_of(provider: Callable[..., Any]) -> ResourceScope | None:
    """Return the scope that ``@resource`` has given ``provider``, ``None`` if it wasn't used."""
    found: ResourceScope | None = getattr(provider, _SCOPE, None)
    return found
