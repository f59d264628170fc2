"""When a failed job is tried again, and how long it waits before that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Literal

import msgspec

from asyncjobs.core.bounds import MAX_COUNT, bounded_ms, checked_count, shown
from asyncjobs.core.duration import to_ms
from asyncjobs.core.job import Job, JobError, errors_with, transition
from asyncjobs.core.states import JobState
from asyncjobs.errors import ArgumentsError, ConfigurationError

__all__ = ["UNLIMITED", "RetryPolicy", "RetryRule", "calculate_retry_delay", "prepare_retry"]

Backoff = Literal["exponential", "linear", "constant"]
"""How the waits of a ``RetryPolicy`` grow."""

RetryRule = Callable[[BaseException, int], float | timedelta | None]
"""A policy as a function. It takes the error and the number of failures so far, this one included, and returns how long
to wait for the next try (seconds or ``timedelta``), or ``None`` to give up. It runs in the job's context, on the event
loop."""


def _seconds(value: float | timedelta) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often, how soon and for which errors a failed job is tried again.

    Raises:
        ConfigurationError: A value is wrong. The message names the field, the value and what is expected.

    Example:
        ```python
        @app.job(retry=RetryPolicy(max_retries=8, initial=0.5, give_up_on=(PermissionError,)))
        async def fetch(url: str) -> None: ...
        ```
    """

    max_retries: int = 3
    """How many times a job is tried again after its first attempt, 0 or more."""
    initial: float | timedelta = 1.0
    """The first wait: seconds or ``timedelta``, 0 or more."""
    cap: float | timedelta = 60.0
    """The longest wait: seconds or ``timedelta``, 0 or more."""
    backoff: Backoff = "exponential"
    """How waits grow: ``exponential`` (``initial`` × 1, 2, 4, 8 …), ``linear`` (× 1, 2, 3 …) or ``constant``."""
    jitter: bool = True
    """Whether half of each wait is random, so that jobs that failed together don't come back together."""
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    """The exception types that are worth another try."""
    give_up_on: tuple[type[BaseException], ...] = ()
    """The exception types that are not worth another try; they win over ``retry_on``."""
    rules: Mapping[type[BaseException], RetryPolicy] = {}
    """Policies that replace this one for some exception types and their subclasses. The policy of the nearest class
    holds as a whole. Its ``max_retries`` counts all failures of the job, whatever their type."""

    def __post_init__(self) -> None:
        try:
            checked_count("max_retries", self.max_retries)
            to_ms("initial", self.initial)
            to_ms("cap", self.cap)
        except ArgumentsError as error:
            raise ConfigurationError(str(error)) from None
        if not isinstance(self.backoff, str) or self.backoff not in ("exponential", "linear", "constant"):
            raise ConfigurationError(f"backoff={shown(self.backoff)}: expected exponential, linear or constant")
        for name in ("retry_on", "give_up_on"):
            value = getattr(self, name)
            types = value if isinstance(value, tuple) else (value,)
            if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in types):
                raise ConfigurationError(f"{name}={shown(value)}: expected a tuple of exception types")
        if not isinstance(self.jitter, bool):
            raise ConfigurationError(f"jitter={shown(self.jitter)}: expected True or False")
        if not isinstance(self.rules, Mapping):
            raise ConfigurationError(f"rules={shown(self.rules)}: expected a mapping of exception types to policies")
        for kind, rule in self.rules.items():
            if not (isinstance(kind, type) and issubclass(kind, BaseException) and isinstance(rule, RetryPolicy)):
                raise ConfigurationError(
                    f"rules has {shown(kind)}: {shown(rule)}; expected exception types and RetryPolicy values"
                )

    def covers(self, kind: type[BaseException]) -> bool:
        """Return whether an error of this ``kind`` is worth another try; ``rules`` are left aside."""
        return issubclass(kind, self.retry_on) and not issubclass(kind, self.give_up_on)

    def rule_for(self, kind: type[BaseException]) -> RetryPolicy:
        """Return the policy for an error of this ``kind``: the one of the nearest class in ``rules``, or this one."""
        if self.rules:
            for one in kind.__mro__:
                if one in self.rules:
                    return self.rules[one]
        return self


#: Tries without end, for jobs whose retries a function decides about (``RetryRule``).
UNLIMITED = RetryPolicy(max_retries=MAX_COUNT)


def calculate_retry_delay(policy: RetryPolicy, failures: int, chance: float) -> int:
    """Return how many milliseconds to wait for the next try.

    With ``d = min(cap, initial × factor)`` the wait is ``d``, or with jitter ``d / 2 + chance × d / 2`` ("equal
    jitter", Brooker, AWS Architecture Blog, 2015).

    Args:
        policy: The policy.
        failures: How many attempts have failed, 1 or more.
        chance: A random number in [0, 1), for the jitter.
    """
    if policy.backoff == "exponential":
        factor = 2.0 ** min(failures - 1, 62)
    elif policy.backoff == "linear":
        factor = float(failures)
    else:
        factor = 1.0
    delay = min(_seconds(policy.cap), _seconds(policy.initial) * factor)
    if policy.jitter:
        delay = delay / 2 + chance * delay / 2
    return bounded_ms(round(delay * 1000))


def prepare_retry(
    job: Job, error: JobError, policy: RetryPolicy, chance: float, now_ms: int, *, after_ms: int | None = None
) -> Job:
    """Return the running ``job`` as it waits for its next try, with the failure counted.

    Args:
        job: The job.
        error: The error of the attempt.
        policy: Says how long to wait.
        chance: A random number in [0, 1), for the jitter.
        now_ms: The time, in Unix milliseconds.
        after_ms: How long to wait, in milliseconds; by default, what the policy says.

    Raises:
        InvalidTransition: The job isn't running.
    """
    failures = job.failures + 1
    return transition(
        job,
        JobState.RETRYING,
        failures=failures,
        errors=errors_with(job, error),
        due_at_ms=now_ms + (calculate_retry_delay(policy, failures, chance) if after_ms is None else after_ms),
    )
