"""How many jobs of a queue, or of a gate, may run at once, and how many may start in a time.

Rates follow the generic cell rate algorithm (GCRA, ITU-T I.371): one number, the *theoretical arrival time*, says how
much of a rate is used up. In any time ``t`` at most ``burst + starts · t / per`` jobs start.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET

from asyncjobs.core.bounds import checked_count, shown
from asyncjobs.core.duration import Duration, to_ms
from asyncjobs.errors import ArgumentsError

__all__ = [
    "NO_LIMIT",
    "NO_RULES",
    "QUANTUM_MS",
    "LimitPart",
    "QueueLimit",
    "QueueRules",
    "Rate",
    "checked_limit",
    "latest_ms",
    "opens_at_ms",
    "starts_left",
    "used_up",
]

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TEXT = re.compile(r"([0-9]{1,10}) ?/ ?([0-9]{0,8}) ?([smhd])")
_EXPECTED = 'expected a Rate, or a text as "50/s", "1000/m" or "100/10s" (s, m, h and d for seconds to days)'

#: A rate without a burst of its own allows what it gives in this time, at once.
_BURST_MS = 100

#: A rate that is used up opens again once it allows what it gives in this time: else a rate of thousands a second would
#: wake a worker for each start.
QUANTUM_MS = 50

# What rounding may take off a whole number of starts.
_ROUNDING = 1e-6


class Rate(msgspec.Struct, frozen=True):
    """How many jobs may start in a time, and how many of them at once.

    As text it is ``"50/s"``. In any time ``t`` at most ``burst + starts · t / per`` jobs start.

    Raises:
        ArgumentsError: A value is wrong. The message names the field, the value and what is expected.

    Example:
        ```python
        app.queue("mail", rate=Rate(50, per=1, burst=10))
        ```
    """

    starts: int
    """How many jobs may start in ``per``, at least 1."""
    per: Duration = 1.0
    """In which time: seconds or ``timedelta``, from a millisecond to a day."""
    burst: int = UNSET  # type: ignore[assignment]  # it is a number from __post_init__ on
    """How many may start at the same moment after a quiet time, at least 1; by default what the rate gives in 100 ms,
    and 1 if that is less."""

    def __post_init__(self) -> None:
        starts = checked_count("Rate: starts", self.starts, least=1)
        per_ms = to_ms("Rate: per", self.per, least_ms=1)
        if per_ms > _UNITS_MS["d"]:
            raise ArgumentsError(f"Rate: per={shown(self.per)}: expected at most a day, 86,400 s")
        given: object = self.burst
        burst = max(1, _BURST_MS * starts // per_ms) if given is UNSET else checked_count("Rate: burst", given, least=1)
        # Rates that say the same in other words are equal.
        msgspec.structs.force_setattr(self, "per", per_ms / 1000)
        msgspec.structs.force_setattr(self, "burst", burst)

    def __str__(self) -> str:
        per_ms = self.per_ms
        unit = next((unit for unit, ms in reversed(_UNITS_MS.items()) if per_ms % ms == 0), "")
        if not unit:
            return f"{self.starts}/{per_ms / 1000:g}s"
        count = per_ms // _UNITS_MS[unit]
        return f"{self.starts}/{'' if count == 1 else count}{unit}"

    @property
    def per_ms(self) -> int:
        """``per`` in milliseconds."""
        return to_ms("per", self.per)

    @property
    def step_ms(self) -> float:
        """The time from one start to the next at an even rate, in milliseconds."""
        return self.per_ms / self.starts


LimitPart: TypeAlias = Literal["running", "rate"]
"""A part of a limit."""


class QueueLimit(msgspec.Struct, frozen=True):
    """How much of a queue may run: at once, and in a time."""

    running: int | None = None
    """How many of its jobs may run at once, on all workers together; ``None`` for any number."""
    rate: Rate | None = None
    """How many of its jobs may start in a time, on all workers together; ``None`` for any number."""

    def __bool__(self) -> bool:
        return self.running is not None or self.rate is not None

    def __str__(self) -> str:
        running = None if self.running is None else f"{self.running:,} at once"
        return ", ".join(str(part) for part in (running, self.rate) if part is not None) or "no limit"

    def keeping(self, part: LimitPart | None, of: QueueLimit) -> QueueLimit:
        """Return this limit with one part of another one, or none."""
        return QueueLimit(of.running if part == "running" else self.running, of.rate if part == "rate" else self.rate)


NO_LIMIT = QueueLimit()
"""The limit of a queue that has none."""


class QueueRules(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a program declares of a queue: how much of it may run, and between whom it is shared."""

    queue: QueueLimit = NO_LIMIT
    """How much of the whole queue may run."""
    gates: dict[str, QueueLimit] = {}
    """The rules of its gates by name (``core.lines``); each gate of a rule has these numbers for itself."""
    weights: dict[str, float] = {}
    """The weights of groups that have another one than 1, by group."""
    by_time: bool = False
    """Whether turns are fair by the time that jobs take, rather than by how many start."""


NO_RULES = QueueRules()
"""Those of a queue of which nothing is declared."""


def checked_limit(running: object, rate: object) -> QueueLimit:
    """Return the limit of a queue.

    Args:
        running: How many jobs may run at once, ``None`` for any number.
        rate: How many may start in a time: a ``Rate``, its text, or ``None`` for any number.

    Raises:
        ArgumentsError: A value is wrong.
    """
    if isinstance(running, int) and running == 0 and not isinstance(running, bool):
        raise ArgumentsError("running=0: expected a whole number, 1 or more; to let nothing start, pause the queue")
    return QueueLimit(None if running is None else checked_count("running", running, least=1), _checked_rate(rate))


def _checked_rate(rate: object) -> Rate | None:
    if rate is None or isinstance(rate, Rate):
        return rate
    found = _TEXT.fullmatch(rate.strip()) if isinstance(rate, str) else None
    if found is None:
        raise ArgumentsError(f"rate={shown(rate)}: {_EXPECTED}, or None for no limit")
    starts, count, unit = found.groups()
    per = timedelta(milliseconds=int(count or 1) * _UNITS_MS[unit])
    return Rate(int(starts), per.total_seconds())


def used_up(rate: Rate, used_until_ms: float, now_ms: float, starts: int) -> float:
    """Return the theoretical arrival time after so many starts, in Unix milliseconds.

    Args:
        rate: The rate.
        used_until_ms: What it was before; 0 before the first start.
        now_ms: The time, in Unix milliseconds.
        starts: How many jobs start now.
    """
    return max(used_until_ms, now_ms) + starts * rate.step_ms


def latest_ms(rate: Rate, now_ms: float) -> float:
    """Return how far starts until now can have moved the theoretical arrival time, in Unix milliseconds.

    One that is later is cut to this: the clock was set back, or the rate was another.
    """
    return now_ms + rate.burst * rate.step_ms


def starts_left(rate: Rate, used_until_ms: float, now_ms: float) -> int:
    """Return how many jobs may start now; the arguments are those of ``used_up``."""
    left_ms = now_ms + (rate.burst - 1) * rate.step_ms - max(used_until_ms, now_ms)
    return max(0, math.floor(left_ms / rate.step_ms + _ROUNDING) + 1)


def opens_at_ms(rate: Rate, used_until_ms: float, now_ms: float) -> int | None:
    """Return when the next jobs may start, in Unix milliseconds; ``None`` if some may start now."""
    if starts_left(rate, used_until_ms, now_ms):
        return None
    at_once = min(rate.burst, max(1, math.floor(QUANTUM_MS / rate.step_ms)))
    return math.ceil(used_until_ms - (rate.burst - at_once) * rate.step_ms)
