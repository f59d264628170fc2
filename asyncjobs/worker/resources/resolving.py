"""Which resources a handler needs, and in which order they are opened: resolved once, at the worker's start."""

from __future__ import annotations

import contextlib
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, is_typeddict

from asyncjobs.errors import DefinitionError
from asyncjobs.jobs.context import JobContext
from asyncjobs.jobs.resources import ResourceScope, injected_in, scope_of

__all__ = ["Need", "Provider", "Resolver"]

#: A function or class that makes a resource.
Provider = Callable[..., Any]

# What a type checker lets pass for another type (typing specification, special cases for float and complex).
_PROMOTED: dict[type, tuple[type, ...]] = {float: (int,), complex: (int, float)}

_Kind = Literal["value", "awaitable", "context", "async context"]


class Need(typing.NamedTuple):
    """One resource: how it is made, and of what."""

    key: Provider
    """The provider that the code names."""
    make: Callable[..., Any]
    """What is called to make the resource: the provider, or its override."""
    kind: _Kind
    """What ``make`` returns."""
    scope: ResourceScope
    """How long the resource lives: as long as the worker, or as a job."""
    takes: tuple[tuple[str, Provider], ...]
    """The parameters of ``make`` that are resources, each with the key of its provider."""
    job: tuple[str, ...]
    """The parameters of ``make`` that get the running job."""


class Resolver:
    """Resolves handlers; ``overrides`` maps a provider to what is used in its place, for tests."""

    def __init__(self, overrides: Mapping[Provider, Provider]) -> None:
        self._overrides = overrides
        self._known: dict[Provider, Need] = {}
        #: The worker's resources found so far, in the order in which they are to be opened.
        self.shared: dict[Provider, Need] = {}

    def resolve(self, function: Provider, what: str) -> tuple[dict[str, Provider], tuple[Need, ...]]:
        """Return the keys of the handler's injected parameters, and its own resources in the order of their opening.

        ``what`` names the handler in errors. Raises ``DefinitionError`` for a cycle, and for what can't be resolved.
        """
        arguments: dict[str, Provider] = {}
        own: dict[Provider, Need] = {}
        hints = _hints(function)
        for name, key in injected_in(inspect.signature(function).parameters, hints, what).items():
            where = f"{what}: parameter {name!r}"
            need = self._need(key, where, (), own)
            _check_type(hints.get(name, Any), need.make, where)
            arguments[name] = key
        return arguments, tuple(own.values())

    def _need(self, key: Provider, where: str, above: tuple[Provider, ...], own: dict[Provider, Need]) -> Need:
        if key in above:
            path = " → ".join(map(_name, (*above[above.index(key) :], key)))
            raise DefinitionError(f"{where} can't be resolved: its providers go round in a circle: {path}")
        make = self._overrides.get(key, key)
        hints = _hints(make)
        takes: list[tuple[str, Provider]] = []
        job: list[str] = []
        scope = scope_of(make) or scope_of(key) or "job"
        parameters = _parameters(make, where)
        injected = injected_in(parameters, hints, f"{where} can't be resolved: {_name(make)}")
        for name, parameter in parameters.items():
            if name in injected:
                inner = self._need(injected[name], where, (*above, key), own)
                if scope == "worker" and inner.scope == "job":
                    raise DefinitionError(
                        f"{where} can't be resolved: {_name(make)} lives as long as the worker, but needs "
                        f"{_name(inner.make)}, which lives as long as a job; mark that @resource(scope='worker') too"
                    )
                _check_type(hints.get(name, Any), inner.make, f"{where}, by {name!r} of {_name(make)},")
                takes.append((name, inner.key))
            elif hints.get(name) is JobContext:
                if scope == "worker":
                    raise DefinitionError(
                        f"{where} can't be resolved: {_name(make)} lives as long as the worker, but takes a JobContext"
                    )
                job.append(name)
            elif parameter.default is parameter.empty and parameter.kind not in (
                parameter.VAR_POSITIONAL,
                parameter.VAR_KEYWORD,
            ):
                raise DefinitionError(
                    f"{where} can't be resolved: nobody says what {_name(make)} gets as {name!r}; give it a default, "
                    "Inject(…), or the annotation JobContext"
                )
        if key not in self._known:
            call, kind = _call_of(make)
            self._known[key] = Need(key, call, kind, scope, tuple(takes), tuple(job))
        need = self._known[key]
        (self.shared if scope == "worker" else own).setdefault(key, need)
        return need


def _name(provider: Provider) -> str:
    return getattr(provider, "__qualname__", repr(provider))


def _parameters(make: Provider, where: str) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(make).parameters
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"{where} can't be resolved: {_name(make)} can't be looked into: {error}") from None


def _hints(function: Provider) -> dict[str, Any]:
    try:
        described = function.__init__ if isinstance(function, type) else function  # type: ignore[misc]
        return typing.get_type_hints(described, include_extras=True)
    except (NameError, TypeError):
        # Annotations that can't be resolved say nothing; the signature of a handler is checked elsewhere.
        return {}


def _call_of(make: Provider) -> tuple[Callable[..., Any], _Kind]:
    """Return what to call for the resource, and what comes back."""
    inner = inspect.unwrap(make)
    if inspect.isasyncgenfunction(make):
        return contextlib.asynccontextmanager(make), "async context"
    if inspect.isgeneratorfunction(make):
        return contextlib.contextmanager(make), "context"
    if inspect.isasyncgenfunction(inner):
        return make, "async context"
    if inspect.isgeneratorfunction(inner):
        return make, "context"
    return make, "awaitable" if inspect.iscoroutinefunction(make) else "value"


def _check_type(wanted: Any, make: Provider, where: str) -> None:
    """Raise ``DefinitionError`` if the resource is plainly not what the parameter is annotated with."""
    if typing.get_origin(wanted) is Annotated:
        wanted = wanted.__origin__
    given = make if isinstance(make, type) else _hints(inspect.unwrap(make)).get("return", Any)
    if inspect.isgeneratorfunction(inspect.unwrap(make)) or inspect.isasyncgenfunction(inspect.unwrap(make)):
        given = (typing.get_args(given) or (Any,))[0]
    wanted, given = typing.get_origin(wanted) or wanted, typing.get_origin(given) or given
    if not (_is_plain(wanted) and _is_plain(given)):
        return
    if not issubclass(given, (wanted, *_PROMOTED.get(wanted, ()))):
        raise DefinitionError(
            f"{where} is annotated with {wanted.__qualname__}, but {_name(make)} provides {given.__qualname__}"
        )


def _is_plain(kind: Any) -> bool:
    """Return whether ``issubclass`` is meaningful for ``kind``: not for unions, protocols and typed dictionaries."""
    if kind is Any or kind is types.UnionType or not isinstance(kind, type):
        return False
    return not getattr(kind, "_is_protocol", False) and not is_typeddict(kind)
