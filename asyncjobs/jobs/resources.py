"""How a handler says what it needs: ``Inject``, as the default of a parameter or in its annotation."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from asyncjobs.core.bounds import shown
from asyncjobs.errors import DefinitionError

__all__ = ["Inject", "Injected", "ResourceScope", "injected_in", "resource", "scope_of", "without_injected"]

F = TypeVar("F", bound=Callable[..., Any])

ResourceScope = Literal["worker", "job"]
"""To what a resource belongs."""

_SCOPE = "__asyncjobs_scope__"


class Injected:
    """What marks a parameter that the worker fills in: its default, or a part of its annotation."""

    __slots__ = ("provider",)

    provider: Callable[..., Any] | None
    """What provides the resource; ``None`` in a default where the annotation says it."""

    def __init__(self, provider: Callable[..., Any] | None) -> None:
        self.provider = provider

    def __repr__(self) -> str:
        return f"Inject({getattr(self.provider, '__qualname__', self.provider or '')})"


def Inject(provider: Callable[..., Any] | None = None) -> Any:  # noqa: N802 - it stands where a class would
    """Return what marks a parameter of a handler that the worker fills in with a resource.

    It is the default of the parameter, or stands in its annotation, ``Annotated[Session, Inject(session)]``. Then
    ``= Inject()`` as the default lets type checkers know that ``.delay()`` doesn't take the parameter.

    The parameter is no argument of the job: ``.delay()`` doesn't take it. A job gets each of its resources once. They
    are closed in reverse order when its handler has ended, also by failure, timeout, cancellation, a lost lease and
    shutdown: the exception is raised at the ``yield``. ``@resource(scope="worker")`` shares a resource between jobs.

    Args:
        provider: A function or a coroutine function that returns the resource, or a generator of either kind that
            yields it once and cleans up after the ``yield``; what ``contextlib`` makes of such a generator will do too.
            It may have parameters with ``Inject`` itself, and one annotated with ``JobContext``. It is left out only in
            a default, where the annotation has it.

    Raises:
        DefinitionError: ``provider`` can't be called. What else can't be resolved is an error when the worker starts.

    Example:
        ``async def order(number: int, db: Session = Inject(session)) -> None: …``
    """
    if provider is not None and not callable(provider):
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


def injected_in(
    parameters: Mapping[str, inspect.Parameter], hints: Mapping[str, Any], what: str
) -> dict[str, Callable[..., Any]]:
    """Return the providers of the parameters that are injected, by their names.

    Args:
        parameters: The parameters.
        hints: Their resolved annotations, with what ``Annotated`` adds.
        what: What has them, for errors.

    Raises:
        DefinitionError: A parameter has two providers, or none.
    """
    found: dict[str, Callable[..., Any]] = {}
    for name, parameter in parameters.items():
        annotated = _in_annotation(hints.get(name))
        default = parameter.default if isinstance(parameter.default, Injected) else None
        if default is None and annotated is None:
            continue
        providers = [one.provider for one in (default, annotated) if one is not None and one.provider is not None]
        if len(providers) != 1:
            how_many = "is injected by its default and by its annotation" if providers else "is injected by Inject()"
            if not providers and name not in hints:
                how_many += ", and its annotation can't be resolved here"
            raise DefinitionError(
                f"{what}: parameter {name!r} {how_many}: expected one provider, in the default = Inject(provider) or "
                "in the annotation Annotated[…, Inject(provider)]"
            )
        found[name] = providers[0]
    return found


def _in_annotation(hint: Any) -> Injected | None:
    if typing.get_origin(hint) is not Annotated:
        return None
    # An alias may be annotated once more: what is added last counts.
    return next((one for one in reversed(hint.__metadata__) if isinstance(one, Injected)), None)


def without_injected(signature: inspect.Signature, hints: Mapping[str, Any], name: str) -> inspect.Signature:
    """Return the parameters that a call is bound to: all but those that the worker fills in."""
    what = f"job {name!r}"
    injected = injected_in(signature.parameters, hints, what)
    kept: list[inspect.Parameter] = []
    before: str | None = None
    for parameter in signature.parameters.values():
        if parameter.name in injected:
            before = parameter.name
            if parameter.kind is parameter.POSITIONAL_ONLY:
                raise DefinitionError(f"{what}: {before!r} is injected, so it can't be positional-only")
            continue
        if before is not None and parameter.kind not in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
            raise DefinitionError(
                f"{what}: {parameter.name!r} stands behind {before!r}, which is injected; put what is injected "
                "last, or behind a *"
            )
        kept.append(parameter)
    return signature.replace(parameters=kept)
