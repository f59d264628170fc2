"""Values that no option should be given, and that must do no harm where one is."""

from __future__ import annotations

import math
import sys
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

__all__ = ["ABSURD"]


class _NoRepr:
    """Can't be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class _NoEqual:
    """Can't be compared, hashed or asked for its truth."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")


class _BrokenZone(tzinfo):
    """A time zone that knows nothing."""

    def utcoffset(self, when: datetime | None) -> timedelta | None:
        raise RuntimeError("no offset")


class _Number(IntEnum):
    ONE = 1


class _Text(str):
    """A kind of text."""

    __slots__ = ()


_ENDLESS: list[Any] = []
_ENDLESS.append(_ENDLESS)

ABSURD: list[Any] = [
    *(None, True, False, 0, -1, 1, 1.5, -0.0, 1e-9, 5e-324, math.nan, math.inf, -math.inf),
    *(2**31, 2**63, 2**64, sys.maxsize, 10**15, 1e15, 1e308, 10**400, -(10**400), 10**5_000),
    *(Decimal("NaN"), Decimal(1), Fraction(1, 3), 1 + 1j, _Number.ONE),
    *(
        "",
        " ",
        "a b",
        "a\nb",
        "\x00",
        "\x1b[2J",
        "\ud800",
        "é" * 300,
        "x" * 10_000,
        "{}",
        "a:b",
        "%s",
        "*",
        "..",
        "null",
    ),
    *(
        "default",
        "high",
        "once",
        "* * * * *",
        "0 0 31 2 *",
        "UTC",
        "../../etc/passwd",
        "late",
        "process",
        _Text("text"),
    ),
    *(b"", b"bytes", bytearray(b"x"), [], [None], ["a", "a"], (), {}, {"a": 1}, {1: 2}, {None: None}, {"a": object()}),
    *({"\ud800": 1}, {"big": 10**30}, set(), {1}, _ENDLESS, object(), object, int, len, lambda *given: 1 / 0, ...),
    *(timedelta(), timedelta.max, timedelta.min, timedelta(microseconds=1), date(2026, 1, 1)),
    *(datetime.min, datetime.max, datetime(2026, 1, 1)),  # noqa: DTZ001, DTZ901
    *(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), datetime(2026, 1, 1, tzinfo=_BrokenZone())),
    datetime.min.replace(tzinfo=timezone(timedelta(hours=12))),
    datetime.max.replace(tzinfo=timezone(-timedelta(hours=12))),
    *(ValueError, ValueError("x"), KeyboardInterrupt, UTC, _NoRepr(), _NoEqual(), [_NoRepr()], {"a": _NoEqual()}),
]
