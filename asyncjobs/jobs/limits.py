"""In which line a job waits: the limits of its definition, checked against its parameters, and the gates of a call."""

from __future__ import annotations

import datetime
import enum
import types
import typing
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from asyncjobs.core.bounds import shown
from asyncjobs.core.gates import NULL, TENANT, By, Limit, combined, key_text, numbers_of, own_rule, value_text
from asyncjobs.core.limits import QueueLimit
from asyncjobs.core.lines import MAX_GATES, gate_of, line_key, short_value
from asyncjobs.core.options import DefinitionOptions
from asyncjobs.errors import ArgumentsError, DefinitionError, closest
from asyncjobs.jobs.signature import Signature

__all__ = ["LineKeys", "Rule"]

_KEY_TYPES = (str, int, uuid.UUID, datetime.date, enum.Enum, types.NoneType)
_EXPECTED = "text, int, bool, UUID, date, an Enum of these, or None"

_split = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_read = msgspec.msgpack.Decoder().decode

_Values = Mapping[By, str]


class Rule(NamedTuple):
    """The numbers of a limit, and whether it has a name that another job may give too."""

    numbers: QueueLimit
    is_named: bool


class _Gate(NamedTuple):
    rule: str
    by: tuple[By, ...]

    def text(self, values: _Values) -> str:
        return gate_of(self.rule, combined([values[one] for one in self.by]) if self.by else None)


class LineKeys:
    """What puts the jobs of a definition into lines: the gates that they need, and what they take turns by.

    Args:
        name: The job name.
        options: The options of the job.
        signature: Its parameters.

    Raises:
        DefinitionError: The limits can't hold for such a job.
    """

    def __init__(self, name: str, options: DefinitionOptions, signature: Signature) -> None:
        self._name = name
        self._signature = signature
        self._own = [one for one in signature.parameters if not one.startswith("*")]
        #: The limits of the job, those of its annotations too.
        self.limits = (*options.limits, *self._annotated())
        if len(self.limits) > MAX_GATES:
            raise DefinitionError(f"job {name!r} has {len(self.limits)} limits: expected at most {MAX_GATES}")
        if self.limits and options.timing is not None and options.timing.every_worker:
            raise DefinitionError(
                f"job {name!r} has limits and every_worker=True, by which each worker runs it without the broker, "
                "which counts; leave one of the two out"
            )
        #: The rules of these limits, by name.
        self.rules: dict[str, Rule] = {}
        self._gates = [self._gate(limit) for limit in self.limits]
        self._defaults: dict[str, str] = {}
        for gate in self._gates:
            for one in gate.by:
                if one is not TENANT:
                    self.check_parameter(one, f"the limit {gate.rule!r}")
        self._by = {one for gate in self._gates for one in gate.by}
        # The line of all calls outside of a group, where it is the same.
        self._only_line = None if self._by else line_key("", self.rules)

    def _annotated(self) -> Iterator[Limit]:
        for parameter in self._own:
            for limit in _limits_in(self._signature.codec_of(parameter).annotation, []):
                if limit.parameters:
                    raise DefinitionError(
                        f"job {self._name!r}: the limit in the annotation of {parameter!r} goes by "
                        f"{', '.join(map(repr, limit.parameters))} already; name it there without by(…)"
                    )
                yield limit.by(parameter)

    def _gate(self, limit: Limit) -> _Gate:
        rule = own_rule(self._name) if limit.name is None else limit.name
        own = Rule(numbers_of(limit), limit.name is not None)
        before = self.rules.setdefault(rule, own)
        if before != own:
            raise DefinitionError(
                f"job {self._name!r} has two limits {rule!r}, one of {before.numbers} and one of {own.numbers}: give "
                "each a name of its own, as in Limit('mail', running=5)"
            )
        return _Gate(rule, limit.parameters)

    def has(self, parameter: str) -> bool:
        """Return whether the job has a parameter of this name."""
        return parameter in self._own

    def check_parameter(self, parameter: str, what: str) -> None:
        """Check that a parameter can tell the calls of the job apart.

        Args:
            parameter: The parameter.
            what: What goes by it, for the error.

        Raises:
            DefinitionError: There is no such parameter, it is secret, or its values can't.
        """
        wrong = f"job {self._name!r}: {what} goes by {shown(parameter)}, "
        if parameter not in self._own:
            raise DefinitionError(
                f"{wrong}which is none of its parameters, {', '.join(self._own) or 'none'}."
                f"{closest(parameter, self._own)}"
            )
        if parameter in self._signature.secret:
            raise DefinitionError(f"{wrong}which is secret; the values of limits and turns are shown")
        annotation = self._signature.codec_of(parameter).annotation
        if not _is_key(annotation, []):
            raise DefinitionError(f"{wrong}which is {_named(annotation)}: expected {_EXPECTED}")
        if parameter in self._signature.defaults:
            try:
                self._default(parameter)
            except Exception as error:
                raise DefinitionError(f"{wrong}whose default can't be used: {error}") from error

    def known_values(self, parameter: str) -> frozenset[str] | None:
        """Return the texts of all values that a parameter can have, but ``None``; ``None`` where they have no end."""
        return _known_in(self._signature.codec_of(parameter).annotation, [])

    def _default(self, parameter: str) -> str:
        found = self._defaults.get(parameter)
        if found is None:
            stored = self._signature.codec_of(parameter).write(self._signature.defaults[parameter])
            found = self._defaults[parameter] = key_text(_read(stored))
        return found

    def line(self, turn: By | None, arguments: bytes, keywords: tuple[str, ...], tenant: str) -> str:
        """Return the key of the line of a call.

        Args:
            turn: The parameter by which the jobs of its queue take turns, or ``TENANT``; ``None`` if they take none. A
                job without such a parameter, or with ``None`` for it, has no group.
            arguments: Those of the call, as ``Signature.encode`` gives them.
            keywords: The names of the last of them.
            tenant: Its tenant, empty for none.

        Raises:
            ArgumentsError: A value can't tell jobs apart.
        """
        if turn is None and self._only_line is not None:
            return self._only_line
        needed = self._by if turn is None or (turn is not TENANT and not self.has(turn)) else {*self._by, turn}
        values = self._values(needed, arguments, keywords, tenant)
        group = values.get(turn, "") if turn is not None else ""
        return line_key(
            short_value(group) if group and group != NULL else "", [gate.text(values) for gate in self._gates]
        )

    def gate(
        self, limit: str | None, by: tuple[By, ...], arguments: bytes, keywords: tuple[str, ...], tenant: str
    ) -> str:
        """Return the gate that one limit of the job is for a call.

        Args:
            limit: The name of the limit, empty for the one without a name; ``None`` for the only one.
            by: What it goes by, where the job has several limits of this name; empty for the only one.
            arguments: As ``line`` takes them.
            keywords: As ``line`` takes them.
            tenant: As ``line`` takes it.

        Raises:
            ArgumentsError: The job has no such limit, or several.
        """
        rule = own_rule(self._name) if limit == "" else limit
        named = [gate for gate in self._gates if rule is None or gate.rule == rule]
        found = [gate for gate in named if gate.by == by] if by else named
        if len(found) != 1:
            raise ArgumentsError(f"job {self._name!r} raised RateLimited{self._not_one(rule, named)}")
        return found[0].text(self._values(found[0].by, arguments, keywords, tenant))

    def _not_one(self, rule: str | None, named: list[_Gate]) -> str:
        """Return why what ``gate`` was asked for is not one limit; ``named`` are those of the rule."""
        known = f"its limits are {', '.join(self.rules) or 'none'}"
        if not named:
            return ", and has no limits" if rule is None else f" for {shown(rule)}, which is no limit of it; {known}"
        if rule is None and len(self.rules) > 1:
            return f" without saying for which limit; {known}"
        ways = [f"by({', '.join(map(repr, gate.by))})" for gate in named]
        return (
            f" for {named[0].rule!r}, which it has {' and '.join(ways)}: expected one of them, as in "
            f"RateLimited(limit.{ways[0]}, after=…)"
        )

    def _values(
        self, wanted: Sequence[By] | set[By], arguments: bytes, keywords: tuple[str, ...], tenant: str
    ) -> dict[By, str]:
        values: dict[By, str] = {}
        stored: list[msgspec.Raw] | None = None
        for one in wanted:
            if one is TENANT:
                values[one] = key_text(tenant or None)
                continue
            stored = _split(arguments) if stored is None else stored
            at = self._signature.place_of(one, len(stored), keywords)
            try:
                values[one] = self._default(one) if at is None else key_text(_read(stored[at]))
            except ArgumentsError as error:
                limits = [repr(gate.rule) for gate in self._gates if one in gate.by]
                what = f"the limit {' and '.join(limits)}" if limits else "a turn of its queue"
                raise ArgumentsError(f"job {self._name!r}: {what} goes by {one!r}, and {error}") from None
        return values


def _limits_in(annotation: Any, seen: list[Any]) -> Iterator[Limit]:
    """Give the limits in an annotation, as in ``Annotated[int, customer] | None``, or in a type that it names."""
    # ``type Tree = list[Tree]`` leads back to itself.
    if any(one is annotation for one in seen):
        return
    seen.append(annotation)
    yield from (one for one in getattr(annotation, "__metadata__", ()) if isinstance(one, Limit))
    for part in _parts(annotation):
        yield from _limits_in(part, seen)


def _is_key(annotation: Any, seen: list[Any]) -> bool:
    """Return whether values of an annotation can tell jobs apart; of ``Any``, each call says it."""
    if any(one is annotation for one in seen) or annotation is Any or isinstance(annotation, typing.TypeVar):
        return True
    seen.append(annotation)
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return all(value is None or isinstance(value, str | int | enum.Enum) for value in typing.get_args(annotation))
    if isinstance(annotation, type) and origin is None:
        if issubclass(annotation, enum.Enum):
            return all(isinstance(one.value, str | int) for one in annotation)
        return issubclass(annotation, _KEY_TYPES) and not issubclass(annotation, datetime.datetime)
    if (
        origin in (Annotated, typing.Union, types.UnionType)
        or hasattr(annotation, "__value__")
        or hasattr(annotation, "__supertype__")
    ):
        return all(_is_key(part, seen) for part in _parts(annotation))
    return annotation is None


def _known_in(annotation: Any, seen: list[Any]) -> frozenset[str] | None:
    if any(one is annotation for one in seen):
        return None
    seen.append(annotation)
    if annotation is None or annotation is types.NoneType:
        return frozenset()
    if annotation is bool or isinstance(annotation, enum.EnumMeta):
        return frozenset(map(value_text, (False, True) if annotation is bool else annotation))
    if typing.get_origin(annotation) is Literal:
        return frozenset(value_text(value) for value in typing.get_args(annotation) if value is not None)
    found = [_known_in(part, seen) for part in _parts(annotation)]
    known = [one for one in found if one is not None]
    return frozenset().union(*known) if known and len(known) == len(found) else None


def _parts(annotation: Any) -> Iterator[Any]:
    """Give what an annotation is made of, or stands for: the types of a union, and of an alias or a ``NewType``."""
    if typing.get_origin(annotation) is Annotated:
        yield annotation.__origin__
        return
    yield from typing.get_args(annotation)
    for what in ("__value__", "__supertype__"):
        if (meant := getattr(annotation, what, None)) is not None:
            yield meant


def _named(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else shown(annotation)
