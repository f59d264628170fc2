"""Annotations made at random: whatever is sent arrives as it was, or is refused before it is sent."""

from __future__ import annotations

import dataclasses
import enum
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from ipaddress import IPv4Address, IPv6Address
from operator import or_
from pathlib import Path
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from asyncjobs import ArgumentsError
from asyncjobs.jobs.signature import Signature


class Colour(enum.Enum):
    RED = "red"
    NUMBER = "2f"


@dataclasses.dataclass
class Place:
    id: uuid.UUID | str
    name: str = "here"


class Day(msgspec.Struct):
    day: date


class Aliased(BaseModel):
    number: int = Field(alias="theNumber")
    at: datetime | None = None


class Similar(BaseModel):
    number: int = Field(alias="theNumber")
    text: str = ""


class Ambiguous(BaseModel):
    id: uuid.UUID | str
    data: bytes = b""


TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
# Texts that look like other types.
TEXTS = st.one_of(
    TEXT, st.uuids().map(str), st.dates().map(str), st.integers().map(str), st.sampled_from(["red", "2f"])
)
IDS = st.one_of(st.uuids(), TEXTS)
LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    type(None): st.none(),
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    complex: st.complex_numbers(allow_nan=False),
    Decimal: st.decimals(allow_nan=False),
    Fraction: st.fractions(),
    str: TEXTS,
    bytes: st.binary(max_size=4),
    uuid.UUID: st.uuids(),
    datetime: st.datetimes(timezones=st.sampled_from([None, UTC])),
    date: st.dates(),
    time: st.times(),
    timedelta: st.timedeltas(),
    ZoneInfo: st.sampled_from([ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")]),
    IPv4Address: st.ip_addresses(v=4),
    IPv6Address: st.ip_addresses(v=6),
    Path: TEXT.map(Path),
    Colour: st.sampled_from(Colour),
    Place: st.builds(Place, IDS, TEXTS),
    Day: st.builds(Day, st.dates()),
    Aliased: st.builds(Aliased, theNumber=st.integers(0, 9), at=st.one_of(st.none(), st.datetimes())),
    Similar: st.builds(Similar, theNumber=st.integers(0, 9), text=TEXT),
    Ambiguous: st.builds(Ambiguous, id=IDS, data=st.binary(max_size=3)),
}

#: An annotation, and its values.
Typed: TypeAlias = tuple[Any, st.SearchStrategy[Any]]


def wider(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    """Annotations that are made of those of ``inner``."""
    return st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(
            lambda members: (reduce(or_, (kind for kind, _ in members)), st.one_of(*(one for _, one in members)))
        ),
        inner.map(lambda one: (list[one[0]], st.lists(one[1], max_size=3))),  # type: ignore[name-defined]
        inner.map(
            lambda one: (
                dict[str, one[0]],  # type: ignore[name-defined]
                st.dictionaries(st.one_of(TEXT, st.sampled_from(["UUID", "str", "Aliased"])), one[1], max_size=2),
            )
        ),
        st.tuples(inner, inner).map(
            lambda two: (tuple[two[0][0], two[1][0]], st.tuples(two[0][1], two[1][1]))  # type: ignore[name-defined]
        ),
    )


TYPED = st.recursive(st.sampled_from([*LEAVES.items()]), wider, max_leaves=5)


def is_same(one: Any, other: Any) -> bool:
    """Return whether both are equal and of the same types, down to the leaves; an ``int`` may be a ``float``."""
    if isinstance(one, int | float):
        return bool(one == other)
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    return bool(one == other)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_whatever_is_sent_arrives_as_it_was_or_is_refused(data: st.DataObject) -> None:
    annotation, values = data.draw(TYPED)
    value = data.draw(values)

    def work(argument):  # type: ignore[no-untyped-def]
        ...

    work.__annotations__ = {"argument": annotation, "return": annotation}
    signature = Signature(work, "work")
    try:
        raw, keywords = signature.encode((value,), {})
    except ArgumentsError as error:
        # Pydantic's JSON has no two forms for a text and a UUID.
        if "Ambiguous" not in str(error):
            raise
        return
    (arrived,), _ = signature.decode(msgspec.Raw(raw), keywords)
    assert is_same(value, arrived)
    assert is_same(value, signature.returns.decode(signature.returns.write_result(value)))
