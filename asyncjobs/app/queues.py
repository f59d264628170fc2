"""What a program declares of its queues: limits, and between whom turns are taken; and in which line a job waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from asyncjobs.app.turns import group_of_tenant
from asyncjobs.core.bounds import shown
from asyncjobs.core.gates import NULL, TENANT, By, value_text
from asyncjobs.core.limits import NO_LIMIT, QueueLimit, QueueRules, checked_limit
from asyncjobs.core.lines import line_key, short_value
from asyncjobs.core.options import DEFAULT_QUEUE, checked_queue
from asyncjobs.errors import ArgumentsError, DefinitionError
from asyncjobs.jobs.definition import JobDefinition, keys_of
from asyncjobs.jobs.registry import Registry, rules_of
from asyncjobs.jobs.request import JobRequest

__all__ = ["DeclaredQueues"]

_LEAST_WEIGHT, _MAX_WEIGHT = 0.001, 1_000.0


class _Declared(msgspec.Struct, frozen=True):
    """What is declared of one queue."""

    limit: QueueLimit
    fair_by: By | None
    weights: dict[str, float]
    """By the texts of values; a value that is too long for a key is whole here."""
    by_time: bool

    def __str__(self) -> str:
        turns = "" if self.fair_by is None else f", fair by {self.fair_by!r}"
        weights = f", weights {self.weights}" if self.weights else ""
        return f"{self.limit}{turns}{weights}{', by time' if self.by_time else ''}"


_UNDECLARED = _Declared(NO_LIMIT, None, {}, False)


class DeclaredQueues:
    """The queues of a program, as ``App.queue`` declares them.

    Args:
        registry: The jobs of the program.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._queues: dict[str, _Declared] = {}
        #: What the jobs of a queue take turns by, of the queues where they do.
        self.turns: dict[str, By] = {}

    def names(self) -> set[str]:
        """Return the queues that the program names."""
        return {*self._queues, *(job.options.queue or DEFAULT_QUEUE for job in self._registry)}

    def limits(self, queue: str) -> set[str]:
        """Return the names of the limits that its jobs of a queue have."""
        return {name for job in self._jobs(queue) for name in keys_of(job).rules}

    def _jobs(self, queue: str) -> list[JobDefinition[..., Any]]:
        return [job for job in self._registry if (job.options.queue or DEFAULT_QUEUE) == queue]

    def declare(self, name: str, running: object, rate: object, fair_by: object, weights: object, fair: object) -> None:
        """Declare a queue; see ``App.queue``."""
        queue, limit = checked_queue(name), checked_limit(running, rate)
        if fair_by is not None and fair_by is not TENANT and not (isinstance(fair_by, str) and fair_by):
            raise ArgumentsError(f"fair_by={shown(fair_by)}: expected TENANT, or the name of a parameter")
        if not isinstance(fair, str) or fair not in ("starts", "time"):
            raise ArgumentsError(f"fair={shown(fair)}: expected 'starts' or 'time'")
        if fair_by is None and (weights is not None or fair == "time"):
            what = "fair='time'" if weights is None else f"weights={shown(weights)}"
            raise ArgumentsError(f"{what} without fair_by: expected fair_by=TENANT, or the name of a parameter")
        if fair_by is None and not limit:
            raise ArgumentsError(f"app.queue({name!r}) got no running, rate or fair_by: expected at least one of them")
        declared = _Declared(limit, fair_by, _checked_weights(weights), fair == "time")
        before = self._queues.setdefault(queue, declared)
        if before != declared:
            raise DefinitionError(f"the queue {queue!r} is declared twice: with {before}, and now with {declared}")
        if fair_by is not None:
            self.turns[queue] = fair_by

    def line_of(self, request: JobRequest[Any]) -> str:
        """Return the key of the line in which the job of a request waits.

        Raises:
            ArgumentsError: A value by which a limit or a turn goes can't tell jobs apart.
        """
        turn, tenant = self.turns.get(request.queue), request.options.tenant or ""
        keys = request._keys
        if keys is None:
            # Of a schedule, or sent by its name.
            job = self._registry.find(request.name)
            if job is None:
                return line_key(group_of_tenant(tenant), ()) if turn is TENANT and tenant else ""
            keys = keys_of(job)
        return keys.line(turn, request.arguments, request.keywords, tenant)

    def rules_of(self, queue: str) -> QueueRules:
        """Return the limits and weights that the program declares of a queue.

        The limits of all its jobs are among them, since any job may be sent to any queue.

        Raises:
            DefinitionError: Two limits of a name have different numbers, or no job of the queue has what its jobs take
                turns by.
        """
        for job in self._registry:
            keys_of(job)
        declared = self._queues.get(queue, _UNDECLARED)
        if isinstance(declared.fair_by, str):
            self._check_turns(queue, declared.fair_by, declared.weights)
        return QueueRules(
            declared.limit,
            rules_of(self._registry),
            {short_value(group): weight for group, weight in declared.weights.items()},
            declared.by_time,
        )

    def check(self) -> None:
        """Raise ``DefinitionError`` if the rules of a declared queue can't hold."""
        for queue in (DEFAULT_QUEUE, *self._queues):
            self.rules_of(queue)

    def _check_turns(self, queue: str, parameter: str, weights: Mapping[str, float]) -> None:
        own = self._jobs(queue)
        those = [job for job in own if keys_of(job).has(parameter)]
        if own and not those:
            raise DefinitionError(
                f"the queue {queue!r} has fair_by={parameter!r}, which is a parameter of none of its jobs: "
                f"{', '.join(job.name for job in own)}"
            )
        for job in those:
            keys_of(job).check_parameter(parameter, f"fair_by of the queue {queue!r}")
        known: set[str] = set()
        for job in those:
            values = keys_of(job).known_values(parameter)
            if values is None:
                return
            known |= values
        unknown = sorted(weights.keys() - known)
        if unknown:
            raise DefinitionError(
                f"the queue {queue!r} has a weight for {unknown[0]!r}, which is no value of {parameter!r}: expected "
                f"{', '.join(sorted(known))}"
            )


def _checked_weights(given: Any) -> dict[str, float]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ArgumentsError(f"weights={shown(given)}: expected a mapping of groups to numbers, as in {{'gold': 3}}")
    weights: dict[str, float] = {}
    for group, weight in given.items():
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not is_number or not _LEAST_WEIGHT <= weight <= _MAX_WEIGHT:
            raise ArgumentsError(f"weights: {shown(group)}: {shown(weight)}: expected a number from 0.001 to 1000")
        try:
            text = value_text(group)
        except ArgumentsError as error:
            raise ArgumentsError(f"weights: the group {error}") from None
        if text == NULL:
            raise ArgumentsError("weights: None: jobs with None have no group, and so no weight")
        weights[text] = float(weight)
    return weights
