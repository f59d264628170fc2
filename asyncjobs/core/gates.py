"""What ``@job(limits=…)`` says: limits, and the values for which each holds by itself."""

from __future__ import annotations

import datetime
import enum
import re
import uuid
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET

from asyncjobs.core.bounds import shown
from asyncjobs.core.limits import QueueLimit, Rate, checked_limit
from asyncjobs.core.lines import MAX_RULE_BYTES, gate_of, is_digest
from asyncjobs.core.uniqueness import digest
from asyncjobs.errors import ArgumentsError

__all__ = [
    "TENANT",
    "MAX_TEXT",
    "NULL",
    "By",
    "Limit",
    "Tenant",
    "checked_gate",
    "checked_limits",
    "key_text",
    "numbers_of",
    "own_rule",
    "value_text",
    "combined",
]

_NAME = re.compile(rf"[A-Za-z0-9_.:-]{{1,{MAX_RULE_BYTES}}}")
_DIGEST_CHARS = 6

# Of a whole number that msgpack holds.
_MAX_BITS = 64

#: How many characters the text of a value has at most.
MAX_TEXT = 1_000

#: The text of a value that is none.
NULL = "null"


class Tenant(enum.Enum):
    """The type of ``TENANT``."""

    TENANT = "the tenant"

    def __repr__(self) -> str:
        return self.name


TENANT: Final = Tenant.TENANT
"""Stands for the tenant of a job where otherwise the name of a parameter stands: in ``Limit.by`` and ``fair_by``."""

By: TypeAlias = str | Literal[Tenant.TENANT]
"""The name of a parameter, or ``TENANT``."""


class Limit(msgspec.Struct, frozen=True):
    """How many jobs may run at once, and start in a time, of all jobs that have the limit.

    The numbers hold in each queue for itself, on all workers together. The same limit at two jobs is one limit.

    Raises:
        ArgumentsError: A value is wrong, or neither ``running`` nor ``rate`` was given.

    Example:
        ```python
        stripe = Limit("stripe", running=20, rate="50/s")
        customer = Limit("customer", running=3)

        @app.job(limits=[stripe, customer.by("customer_id")])
        async def charge(customer_id: int, cents: int) -> None: ...
        ```
    """

    name: str | None = None
    """Its name, 1 to 24 letters, digits or any of ``.`` ``:`` ``_`` ``-``. A limit without one belongs to its job
    alone, and has the name of the job."""
    running: int | None = None
    """How many jobs may run at once; ``None`` for any number."""
    rate: Rate | str | None = None
    """How many jobs may start in a time: a ``Rate``, or a text such as ``"50/s"``; ``None`` for any number."""
    parameters: tuple[By, ...] = ()
    """By the values of which parameters it is apart, as ``by`` sets them; none if it is one limit for all its jobs."""

    def __post_init__(self) -> None:
        if self.name is not None and not (isinstance(self.name, str) and _NAME.fullmatch(self.name)):
            raise ArgumentsError(
                f"Limit: name={shown(self.name)}: expected 1 to {MAX_RULE_BYTES} letters, digits or any of . : _ -"
            )
        try:
            numbers = checked_limit(self.running, self.rate)
        except ArgumentsError as error:
            raise ArgumentsError(f"{self._title}: {error}") from None
        if not numbers:
            raise ArgumentsError(f"{self._title} got neither running nor rate: expected at least one of them")
        msgspec.structs.force_setattr(self, "rate", numbers.rate)
        self._check_parameters()

    @property
    def _title(self) -> str:
        return "Limit" if self.name is None else f"Limit {self.name!r}"

    def by(self, *parameters: By) -> Limit:
        """Return the limit for each value of a parameter by itself: three jobs a customer, not three in all.

        Values are text of at most 1,000 characters, whole numbers, ``bool``, ``UUID``, ``date``, members of an ``Enum``
        of text or numbers, or ``None``, which is a value like the others.

        Args:
            *parameters: The names of parameters of the job, or ``TENANT`` for its tenant. With several, the limit is
                for each combination of their values.

        Raises:
            ArgumentsError: A name is no text, one is given twice, or there is none.

        Example:
            ``customer.by("customer_id")``
        """
        if not parameters:
            raise ArgumentsError(f"{self._title}: by(): expected one parameter or more, each once")
        return Limit(self.name, self.running, self.rate, parameters)

    def _check_parameters(self) -> None:
        given = self.parameters if isinstance(self.parameters, tuple) else (self.parameters,)
        for one in given:
            if not isinstance(one, str) and one is not TENANT:
                raise ArgumentsError(f"{self._title}: by({shown(one)}): expected the name of a parameter, or TENANT")
        if len(set(given)) < len(given):
            names = ", ".join(map(repr, given))
            raise ArgumentsError(f"{self._title}: by({names}): expected one parameter or more, each once")
        msgspec.structs.force_setattr(self, "parameters", given)


def numbers_of(limit: Limit) -> QueueLimit:
    """Return the numbers of a limit."""
    return checked_limit(limit.running, limit.rate)


def own_rule(job_name: str) -> str:
    """Return the name of a job's limit without a name: that of the job, or one made of it where that is too long."""
    if _NAME.fullmatch(job_name):
        return job_name
    start = re.sub(r"[^A-Za-z0-9_.:-]", "-", job_name)[: MAX_RULE_BYTES - _DIGEST_CHARS - 1]
    return f"{start}-{digest(job_name)[:_DIGEST_CHARS]}"


def key_text(value: Any) -> str:
    """Return a value of a parameter, as it is stored, as the text by which gates and groups go.

    Args:
        value: Text, a whole number, a truth value or ``None``. What was a ``UUID``, a date or a member of an ``Enum``
            is one of these by now.

    Returns:
        The text itself of a text, but ``"null"`` in quotes of a text that is the word of ``None``.

    Raises:
        ArgumentsError: It is something else, or a text that is too long.
    """
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        # With quotes or without, so that no two texts become one.
        return f'"{value}"' if value.strip('"') == NULL else value
    if value is None or isinstance(value, bool):
        return NULL if value is None else "true" if value else "false"
    if isinstance(value, int) and value.bit_length() <= _MAX_BITS:
        return str(value)
    what = f"a text of {len(value):,} characters" if isinstance(value, str) else shown(value)
    raise ArgumentsError(
        f"{what} can't tell jobs apart: expected text of at most {MAX_TEXT:,} characters, a whole number, a bool, a "
        "UUID, a date, a member of an Enum of these, or None"
    )


def value_text(value: object) -> str:
    """Return a value of a parameter, as a program has it, as the text by which gates and groups go.

    Raises:
        ArgumentsError: It can't tell jobs apart.
    """
    if isinstance(value, enum.Enum):
        value = value.value
    is_date = isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)
    return str(value) if is_date or isinstance(value, uuid.UUID) else key_text(value)


def checked_gate(limit: object = "", value: object = UNSET) -> str:
    """Return the gate that a program names, empty for the queue itself.

    Args:
        limit: A ``Limit``, its name, or the text of a gate; empty for the queue itself.
        value: The value for which the limit holds; of a limit by several parameters a tuple, a value for each.

    Raises:
        ArgumentsError: There can be no such gate.
    """
    if isinstance(limit, Limit) and limit.name is None:
        raise ArgumentsError("limit=Limit(…): it has no name; expected that of its job, after which it is called")
    name = limit.name if isinstance(limit, Limit) else limit
    if isinstance(name, str) and not name and value is UNSET:
        return ""
    rule, has_value, text = name.partition("=") if isinstance(name, str) else ("", "", "")
    if not _NAME.fullmatch(rule) or (has_value and value is not UNSET):
        at = "" if value is UNSET else f", value={shown(value)}"
        raise ArgumentsError(f"limit={shown(name)}{at}: expected a Limit, its name, or a gate such as 'customer=42'")
    if len(text) > MAX_TEXT:
        raise ArgumentsError(
            f"limit={shown(name)}: its value has {len(text):,} characters; expected at most {MAX_TEXT:,}"
        )
    if has_value:
        # A digest stands for a longer value already.
        return f"{rule}={text}" if is_digest(text) else gate_of(rule, text)
    if value is UNSET:
        return rule
    values = value if isinstance(value, tuple) else (value,)
    parameters = limit.parameters if isinstance(limit, Limit) else ()
    if not values or (parameters and len(values) != len(parameters)):
        expected = f"as many as {parameters!r}" if parameters else "one or more"
        raise ArgumentsError(f"value={shown(value)}: {len(values)} values of the limit {rule!r}; expected {expected}")
    return gate_of(rule, combined([value_text(one) for one in values]))


def checked_limits(given: Any) -> tuple[Limit, ...]:
    """Return ``given``, one limit or several, as the option ``limits`` takes them.

    Raises:
        ArgumentsError: It is something else.
    """
    limits = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not all(isinstance(one, Limit) for one in limits):
        raise ArgumentsError(
            f"limits={shown(given)}: expected a Limit, or a list of them, as in Limit('mail', running=5)"
        )
    return limits


def combined(texts: list[str]) -> str:
    """Return the text of a combination of values; no other combination has the same."""
    if len(texts) == 1:
        return texts[0]
    return ",".join(text.replace("\\", "\\\\").replace(",", "\\,") for text in texts)
