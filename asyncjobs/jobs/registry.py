"""The jobs that are known by name, and the decorator that makes them known."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar, Unpack, overload

from asyncjobs.core.bounds import shown
from asyncjobs.core.limits import QueueLimit
from asyncjobs.core.options import DEFAULT_QUEUE, DefinitionOptions, JobOptions
from asyncjobs.errors import DefinitionError, UnknownJobName, closest
from asyncjobs.jobs.definition import AsyncJobDefinition, JobDefinition, SyncJobDefinition
from asyncjobs.jobs.handler import checked_handler, is_async
from asyncjobs.jobs.limits import Rule
from asyncjobs.jobs.origin import Origin
from asyncjobs.jobs.request import SendingApp

__all__ = ["JobDecorator", "Registry", "default_registry", "job", "rules_elsewhere", "rules_of"]

P = ParamSpec("P")
R = TypeVar("R")


class JobDecorator(Protocol):
    """What ``@job(…)`` with options returns: it makes a function a job."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncJobDefinition[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> SyncJobDefinition[P, R]: ...


class Registry:
    """Jobs by name and alias.

    Args:
        app: The app that sends the jobs; by default the one that is open.
        beneath: Another registry, for the names that are not in this one.
    """

    def __init__(self, *, app: SendingApp | None = None, beneath: Registry | None = None) -> None:
        self._app = app
        self._beneath = beneath
        self._jobs: dict[str, JobDefinition[..., Any]] = {}
        self._origins: dict[str, Origin] = {}

    def define(
        self, function: Callable[..., Any], *, name: str | None, aliases: tuple[str, ...], options: DefinitionOptions
    ) -> JobDefinition[..., Any]:
        """Make ``function`` a job.

        Args:
            function: The handler.
            name: The name of the job; ``None`` for the function's own.
            aliases: Earlier names of the job.
            options: The options of all its calls.

        Returns:
            The job.

        Raises:
            DefinitionError: Its name, or an alias, is taken by another job, or the function can't be a handler.
        """
        if isinstance(function, JobDefinition):
            raise DefinitionError(f"{function!r} is a job already; make another one of its function: job.function")
        function = checked_handler(function, name)
        kind = AsyncJobDefinition if is_async(function) else SyncJobDefinition
        definition: JobDefinition[..., Any] = kind(function, name=name, aliases=aliases, options=options, app=self._app)
        names = (definition.name, *definition.aliases)
        self._check_rules(definition, names)
        origin = Origin.of(function)
        for one in names:
            earlier = self._origin(one)
            if earlier is not None and not origin.is_again(earlier):
                raise DefinitionError(
                    f"two jobs are named {one!r}: {_where(earlier.function)} and {_where(function)}. "
                    "Give one another name: @job(name='…'); a wrapper takes that of its function by functools.wraps"
                )
        # Defined again, as by a reload, the job may have lost an alias.
        replaced = {id(self._jobs[one]) for one in names if one in self._jobs}
        for one in [one for one, job in self._jobs.items() if id(job) in replaced]:
            del self._jobs[one], self._origins[one]
        self._jobs.update(dict.fromkeys(names, definition))
        self._origins.update(dict.fromkeys(names, origin))
        return definition

    def _origin(self, name: str) -> Origin | None:
        found = self._origins.get(name)
        if found is None and self._beneath is not None:
            return self._beneath._origin(name)
        return found

    def find(self, name: str) -> JobDefinition[..., Any] | None:
        """Return the job with this name or alias, ``None`` if there is none."""
        found = self._jobs.get(name)
        if found is None and self._beneath is not None:
            return self._beneath.find(name)
        return found

    def _check_rules(self, definition: JobDefinition[..., Any], names: Sequence[str]) -> None:
        """Raise ``DefinitionError`` if a limit of a new job has the name of another one."""
        if definition._keys is not None and definition._keys.rules:
            _rules([definition, *(job for one, job in self._all().items() if one not in names)])

    def _all(self) -> dict[str, JobDefinition[..., Any]]:
        return self._jobs if self._beneath is None else self._beneath._all() | self._jobs

    def get(self, name: str) -> JobDefinition[..., Any]:
        """Return the job with this name or alias.

        Raises:
            UnknownJobName: There is none. The message names the nearest.
        """
        found = self.find(name)
        if found is None:
            raise UnknownJobName(
                f"no handler is registered for {name!r}.{closest(name, self.names())} "
                "Import the module that defines it before the worker starts."
            )
        return found

    def names(self) -> frozenset[str]:
        """Return all names and aliases, with those of the registry beneath."""
        beneath = self._beneath.names() if self._beneath is not None else frozenset()
        return beneath | self._jobs.keys()

    def __iter__(self) -> Iterator[JobDefinition[..., Any]]:
        """Yield each job once, in the order of their names."""
        found = {id(job): job for job in map(self.get, self.names())}
        yield from sorted(found.values(), key=lambda definition: definition.name)


def rules_of(registry: Registry) -> dict[str, QueueLimit]:
    """Return the numbers of the limits of all jobs of a registry, by the names of the limits.

    Raises:
        DefinitionError: Two limits of one name have different numbers.
    """
    return _rules(registry._all().values())


def rules_elsewhere(registry: Registry, queue: str) -> frozenset[str]:
    """Return the names of the limits that only jobs of other queues have."""
    here: set[str] = set()
    elsewhere: set[str] = set()
    for job in registry._all().values():
        if job._keys is not None:
            (here if (job.options.queue or DEFAULT_QUEUE) == queue else elsewhere).update(job._keys.rules)
    return frozenset(elsewhere - here)


def _rules(jobs: Iterable[JobDefinition[..., Any]]) -> dict[str, QueueLimit]:
    found: dict[str, tuple[JobDefinition[..., Any], Rule]] = {}
    for job in jobs:
        for name, rule in job._keys.rules.items() if job._keys is not None else ():
            other, before = found.setdefault(name, (job, rule))
            if other is not job and (before != rule or not rule.is_named):
                raise DefinitionError(
                    f"two limits are named {name!r}: {rule.numbers} of job {job.name!r}, and {before.numbers} of job "
                    f"{other.name!r}. Give both jobs the same Limit('{name}', …), or the limits other names"
                )
    return {name: rule.numbers for name, (_, rule) in found.items()}


def _where(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


#: The jobs of ``asyncjobs.job``, known to every app.
default_registry = Registry()


def _checked_aliases(given: object) -> tuple[str, ...]:
    if not isinstance(given, list | tuple):
        names = (given,) if isinstance(given, str) else ("earlier_name",)
        raise DefinitionError(
            f"aliases={shown(given)}: expected a tuple of earlier names of the job, as in aliases={names!r:.80}"
        )
    return tuple(given)


def decorator(registry: Registry, function: Callable[..., Any] | None, options: JobOptions) -> Any:
    """Make ``function`` a job of ``registry``; without one, return the decorator that does."""
    define = functools.partial(
        registry.define,
        name=options.get("name"),
        aliases=_checked_aliases(options.get("aliases", ())),
        options=DefinitionOptions.of(options),
    )
    return define if function is None else define(function)


@overload
def job(  # type: ignore[overload-overlap]
    function: Callable[P, Coroutine[Any, Any, R]], /
) -> AsyncJobDefinition[P, R]: ...
@overload
def job(function: Callable[P, R], /) -> SyncJobDefinition[P, R]: ...
@overload
def job(**options: Unpack[JobOptions]) -> JobDecorator: ...
def job(function: Callable[..., Any] | None = None, /, **options: Unpack[JobOptions]) -> Any:
    """Make a function a job of the default registry, which every app knows; for libraries, and programs with one app.

    Args:
        function: The handler. An async function runs on the worker's event loop, a plain one in a thread.
        **options: See ``JobOptions``.

    Returns:
        The job, which can still be called as the plain function; without ``function``, the decorator that makes it.

    Raises:
        DefinitionError: The job could not work: its name is taken, an option isn't known, or an annotation can't be
            decoded.
        ArgumentsError: An option has a wrong value.
    """
    return decorator(default_registry, function, options)
