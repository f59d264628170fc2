"""When a failed job is tried again, and how long it waits before that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Literal

import msgspec

from asyncjobs.core.job import Job, JobError, transition
from asyncjobs.core.states import JobState
from asyncjobs.errors import ConfigurationError

__all__ = ["UNLIMITED", "RetryPolicy", "RetryRule", "calculate_retry_delay", "prepare_retry"]

Backoff = Literal["exponential", "linear", "constant"]

#: A policy as a function of the error and the number of failures so far, this one included: how long to wait for the
#: next try, in seconds or as a ``timedelta``, or ``None`` to give up. It runs in the job's context, on the event loop.
RetryRule = Callable[[BaseException, int], float | timedelta | None]


def _seconds(value: float | timedelta) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often, how soon and for which errors a failed job is tried again.

    ``max_retries``: tries after the first (0 or more). ``initial`` and ``cap``: seconds or ``timedelta``, the
    first wait and the longest. ``backoff``: ``exponential`` (initial × 1, 2, 4, 8 …), ``linear`` (× 1, 2, 3 …) or
    ``constant``. ``jitter``: keep half of each wait and draw the other half at random, so that jobs that failed
    together do not come back together. ``retry_on``: exception types worth another try; ``give_up_on``: types
    that are not, which wins over ``retry_on``. ``rules``: other policies for some exception types and their subclasses;
    the one for the nearest class holds, whole, and its ``max_retries`` is compared with all failures of the job so far.

    Raises ``ConfigurationError`` for a value outside these bounds.
    """

    max_retries: int = 3
    initial: float | timedelta = 1.0
    cap: float | timedelta = 60.0
    backoff: Backoff = "exponential"
    jitter: bool = True
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    give_up_on: tuple[type[BaseException], ...] = ()
    rules: Mapping[type[BaseException], RetryPolicy] = {}

    def __post_init__(self) -> None:
        if isinstance(self.max_retries, bool) or not isinstance(self.max_retries, int) or self.max_retries < 0:
            raise ConfigurationError(f"max_retries={self.max_retries!r}: expected a whole number, 0 or more")
        for name in ("initial", "cap"):
            value = getattr(self, name)
            if not isinstance(value, int | float | timedelta) or not 0 <= _seconds(value) < float("inf"):
                raise ConfigurationError(f"{name}={value!r}: expected seconds or a timedelta, 0 or more")
        if self.backoff not in ("exponential", "linear", "constant"):
            raise ConfigurationError(f"backoff={self.backoff!r}: expected exponential, linear or constant")
        for name in ("retry_on", "give_up_on"):
            value = getattr(self, name)
            types = value if isinstance(value, tuple) else (value,)
            if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in types):
                raise ConfigurationError(f"{name}={value!r}: expected a tuple of exception types")
        for kind, rule in self.rules.items():
            if not (isinstance(kind, type) and issubclass(kind, BaseException) and isinstance(rule, RetryPolicy)):
                raise ConfigurationError(
                    f"rules has {kind!r}: {rule!r}; expected exception types and RetryPolicy values"
                )

    def covers(self, kind: type[BaseException]) -> bool:
        """Say whether an error of this ``kind`` is worth another try under this policy, its rules left aside."""
        return issubclass(kind, self.retry_on) and not issubclass(kind, self.give_up_on)

    def rule_for(self, kind: type[BaseException]) -> RetryPolicy:
        """Return the policy for an error of this ``kind``: that of the nearest class in ``rules``, or this one."""
        if self.rules:
            for one in kind.__mro__:
                if one in self.rules:
                    return self.rules[one]
        return self


#: Tries without end: for retries that something else than a number decides about.
UNLIMITED = RetryPolicy(max_retries=1 << 62)


def calculate_retry_delay(policy: RetryPolicy, failures: int, chance: float) -> int:
    """Return how many milliseconds to wait after the ``failures``-th failure (1 or more).

    ``chance`` is a number in [0, 1) that decides the jitter. With ``d = min(cap, initial × factor)`` the wait is
    ``d``, or with jitter ``d / 2 + chance × d / 2`` ("equal jitter", Brooker, AWS Architecture Blog, 2015).
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
    return round(delay * 1000)


def prepare_retry(
    job: Job, error: JobError, policy: RetryPolicy, chance: float, now_ms: int, *, after_ms: int | None = None
) -> Job:
    """Return the running ``job`` as it waits for its next try, with ``due_at_ms`` set and the failure counted.

    ``after_ms``: how long it waits, where that isn't for the policy to say. Raises ``InvalidTransition`` unless the job
    is running.
    """
    failures = job.failures + 1
    return transition(
        job,
        JobState.RETRYING,
        failures=failures,
        errors=(*job.errors, error),
        due_at_ms=now_ms + (calculate_retry_delay(policy, failures, chance) if after_ms is None else after_ms),
    )
