"""Types of the standard library, and unions: what is sent arrives, or is refused with the reason."""

from __future__ import annotations

import dataclasses
import enum
import ipaddress
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar
from zoneinfo import ZoneInfo

import msgspec
import pytest

from asyncjobs import App, ArgumentsError
from tests.api.round_trips import round_trip, signature_of
from tests.waiting import SOON

NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
ID = uuid.UUID(int=7)

T = TypeVar("T")
UserId = NewType("UserId", uuid.UUID)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 1


@dataclasses.dataclass
class Place:
    path: Path
    zone: ZoneInfo | None = None
    routes: dict[str, ipaddress.IPv4Network] = dataclasses.field(default_factory=dict)


class Host(msgspec.Struct):
    address: ipaddress.IPv6Address
    ports: list[int] = []


@dataclasses.dataclass
class Base:
    a: int


@dataclasses.dataclass
class Sub(Base):
    b: int = 2


class BaseStruct(msgspec.Struct):
    a: int


class SubStruct(BaseStruct):
    b: int = 2


@dataclasses.dataclass
class Growing:
    n: int

    def __post_init__(self) -> None:
        self.n += 1


@dataclasses.dataclass
class Explosive:
    n: int

    def __post_init__(self) -> None:
        if self.n == 13:
            raise KeyError("boom")


@dataclasses.dataclass(eq=False)
class Incomparable:
    n: int


@dataclasses.dataclass
class Labelled:
    id: uuid.UUID | str
    paths: list[Path | str]
    inner: Labelled | None = None
    count: int = dataclasses.field(init=False, default=0)


class LabelledStruct(msgspec.Struct):
    id: uuid.UUID | str
    nodes: dict[str, LabelledStruct] = {}


class LabelledDict(TypedDict):
    id: uuid.UUID | str
    path: NotRequired[Path]


class LabelledTuple(NamedTuple):
    id: uuid.UUID | str
    count: int = 1


@dataclasses.dataclass
class Box(Generic[T]):
    content: T
    more: list[T]


class Options(TypedDict, total=False):
    a: int


class Point(NamedTuple):
    x: int
    y: int = 0


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Path, Path("/a/b")),
        (PurePosixPath, PurePosixPath("a")),
        (PureWindowsPath, PureWindowsPath("c:\\a")),
        (ipaddress.IPv4Address, ipaddress.IPv4Address("10.0.0.1")),
        (ipaddress.IPv6Address, ipaddress.IPv6Address("::1")),
        (ipaddress.IPv4Network, ipaddress.IPv4Network("10.0.0.0/8")),
        (ipaddress.IPv6Network, ipaddress.IPv6Network("2001:db8::/32")),
        (ipaddress.IPv4Interface, ipaddress.IPv4Interface("10.0.0.1/8")),
        (ipaddress.IPv6Interface, ipaddress.IPv6Interface("::1/64")),
        (ZoneInfo, ZoneInfo("Europe/Berlin")),
        (Fraction, Fraction(1, 3)),
        (complex, 1 + 2j),
        (re.Pattern, re.compile("a+", re.IGNORECASE)),
        (re.Pattern[str], re.compile("a+")),
        (re.Pattern[bytes], re.compile(b"\xff+")),
        (list[Path], [Path("a"), Path("b")]),
        (set[Path], {Path("a"), Path("b")}),
        (tuple[Path, ...], (Path("a"),)),
        (dict[Path, ZoneInfo], {Path("a"): ZoneInfo("UTC")}),
        (Labelled, Labelled(ID, [Path("a"), "b"])),
        (Labelled, Labelled("number 7", [], Labelled(str(ID), []))),
        (list[Labelled], [Labelled(ID, [])]),
        (LabelledStruct, LabelledStruct(ID, nodes={"a": LabelledStruct("b")})),
        (LabelledDict, {"id": str(ID)}),
        (LabelledDict | None, {"id": ID, "path": Path("a")}),
        (LabelledTuple, LabelledTuple(str(ID))),
        (Box[uuid.UUID | str], Box(str(ID), [ID])),
        (Box[Path], Box(Path("a"), [])),
        (Path | None, Path("a")),
        (Path | None, None),
        (Place, Place(Path("a"), ZoneInfo("UTC"), {"a": ipaddress.IPv4Network("10.0.0.0/8")})),
        (Options, {}),
        (msgspec.Raw, msgspec.Raw(b"\x01")),
        (Host, Host(ipaddress.IPv6Address("::1"))),
        (uuid.UUID | str, ID),
        (uuid.UUID | str, "abc"),
        (uuid.UUID | str, str(ID)),
        (str | uuid.UUID, ID),
        (str | uuid.UUID, str(ID)),
        (str | uuid.UUID | None, None),
        (UserId | str, ID),
        (int | uuid.UUID | str, 5),
        (Decimal | str, Decimal("1.10")),
        (Decimal | str, "1.10"),
        (Decimal | float, Decimal("1.10")),
        (bytes | str, b"\xff"),
        (bytes | str, "abcd"),
        (date | datetime, date(2026, 1, 2)),
        (date | datetime, NOW),
        (date | datetime, datetime(2026, 1, 2)),  # noqa: DTZ001 - a naive one
        (datetime | str, NOW),
        (datetime | str, NOW.isoformat()),
        (Colour | str, Colour.RED),
        (Colour | str, "red"),
        (Literal["a"] | uuid.UUID, "a"),
        (Literal["a"] | uuid.UUID, ID),
        (Path | str, Path("a")),
        (Path | str, "a"),
        (ipaddress.IPv4Address | ipaddress.IPv6Address, ipaddress.IPv6Address("::1")),
        (Path | list[Path], [Path("a")]),
        (Annotated[uuid.UUID | str, "an id"], str(ID)),
        (list[uuid.UUID | str], [ID, str(ID), "a"]),
        (set[uuid.UUID | str], {ID, "a"}),
        (frozenset[uuid.UUID | str], frozenset({ID})),
        (tuple[uuid.UUID | str, int], (ID, 5)),
        (tuple[uuid.UUID | str, ...], (ID, "a")),
        (dict[str, uuid.UUID | str], {"a": ID, "b": str(ID)}),
        (dict[str, uuid.UUID | str], {"str": "a"}),
        (list[uuid.UUID] | list[str], [str(ID)]),
        (list[uuid.UUID] | list[str], [ID]),
        (list[uuid.UUID] | list[str], []),
        (dict[str, Path] | dict[str, uuid.UUID] | None, {"a": ID}),
        (dict[str, list[uuid.UUID | str]] | None, {"a": [ID]}),
        (Base | Sub, Sub(1)),
        (Base | Sub, Base(1)),
        (dict[str, Any] | uuid.UUID, {"str": ID.int % 5}),
        (dict[str, Any] | uuid.UUID, {"UUID": 5}),
        (Sequence[int], [1]),
        (Mapping[str, Path], {"a": Path("a")}),
        (Point, Point(1)),
        (Any, {"a": [1, (2, 3), b"x", None, 0.5]}),
        (Any, NOW),
        (Any, Level.HIGH),
        (dict, {1: "a"}),
        (list, [float("nan")]),
        (Incomparable, Incomparable(1)),
    ],
)
def test_a_value_arrives_as_it_was(annotation: Any, value: Any) -> None:
    arrived = round_trip(annotation, value)
    codec = signature_of(annotation).returns
    came_back = codec.decode(codec.write_result(value))
    for one in (arrived, came_back):
        if annotation is Incomparable:
            assert one.n == value.n
        elif annotation in (Any, list, msgspec.Raw):
            assert msgspec.msgpack.encode(one) == msgspec.msgpack.encode(value)
        else:
            assert one == value
            assert type(one) is type(value)


@pytest.mark.parametrize(
    ("annotation", "value", "reason"),
    [
        (Any, ID, "argument is of type UUID and would arrive as str"),
        (Any, datetime(2026, 1, 2), "argument is of type datetime and would arrive as str"),  # noqa: DTZ001
        (Any, Decimal("1.5"), "is of type Decimal"),
        (Any, Path("a"), "is of type PosixPath and would arrive as str"),
        (Any, Colour.RED, "is of type Colour"),
        (Any, {1}, "is of type set and would arrive as list"),
        (dict[str, Any], {"a": {"b": [ID]}}, r"argument\['a'\]\['b'\]\[0\] is of type UUID"),
        (dict, {"a": ID}, r"argument\['a'\] is of type UUID"),
        (list, [ID], r"argument\[0\] is of type UUID"),
        (Any, Base(1), "is of type Base and would arrive as dict"),
        (Base, Sub(1), "argument is of type Sub and would arrive as Base"),
        (list[Base], [Base(1), Sub(1)], r"argument\[1\] is of type Sub"),
        (BaseStruct, SubStruct(1), "argument is of type SubStruct and would arrive as BaseStruct"),
        (Options, {"a": 1, "b": 2}, r"argument\['b'\] would not arrive"),
        (Growing, Growing(1), "argument.n is 2 and would arrive as 3"),
        (ZoneInfo, "Nowhere/Land", "No time zone found"),
        (Path, 5, "expected text, got int"),
        (LabelledDict, {"path": Path("a")}, "`LabelledDict` is missing id"),
        (Labelled, {"paths": []}, "missing 1 required positional argument: 'id'"),
        (Labelled, Labelled(5, []), "does not fit its annotation"),  # type: ignore[arg-type]
        (ipaddress.IPv4Address, "10.0.0", "Expected 4 octets"),
        (ipaddress.IPv4Address | ipaddress.IPv6Address, "nowhere", r"Expected `IPv4Address \| IPv6Address`"),
    ],
)
def test_a_value_that_could_not_arrive_is_refused_with_the_reason(annotation: Any, value: Any, reason: str) -> None:
    with pytest.raises(ArgumentsError, match=f"argument 'argument'.*{reason}"):
        signature_of(annotation).encode((value,), {})


def test_what_the_code_of_a_type_raises_when_it_is_read_is_a_misfit() -> None:
    signature = signature_of(Explosive)
    raw, _ = signature.encode((Explosive(1),), {})
    with pytest.raises(ArgumentsError, match="boom"):
        signature.decode(msgspec.Raw(raw.replace(b"\x01", b"\x0d")), ())
    value = Explosive(1)
    value.n = 13
    with pytest.raises(ArgumentsError, match=r"argument 'argument'.*boom"):
        signature.encode((value,), {})


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (list[complex] | list[Decimal], [Decimal("1.5")]),
        (dict[str, complex] | dict[str, Decimal], {"a": Decimal("Infinity")}),
        (set[Fraction] | set[Decimal], {Decimal("1.5")}),
        (tuple[complex, ...] | tuple[Fraction, ...], (Fraction(3, 1),)),
        (list[complex] | list[int], [1]),
    ],
)
def test_equal_numbers_in_containers_of_a_union_keep_their_types(annotation: Any, value: Any) -> None:
    signature = signature_of(annotation)
    raw, keywords = signature.encode((value,), {})
    (arrived,), _ = signature.decode(msgspec.Raw(raw), keywords)
    assert repr(arrived) == repr(value)
    assert repr(signature.returns.decode(signature.returns.write_result(value))) == repr(value)


def test_a_record_of_before_is_read_after_the_annotation_has_become_a_union() -> None:
    old, _ = signature_of(uuid.UUID).encode((ID,), {})
    assert signature_of(uuid.UUID | str).decode(msgspec.Raw(old), ()) == ((ID,), {})


@pytest.mark.anyio
async def test_paths_and_unions_pass_a_worker(make_app: Callable[..., App]) -> None:
    app = make_app()

    @app.job
    async def work(path: Path, *ids: uuid.UUID | str, zone: ZoneInfo = ZoneInfo("UTC")) -> list[uuid.UUID | str | Path]:  # noqa: B008
        return [path, *ids, zone.key]

    async with app, app.worker():
        handle = await work.delay(Path("a"), ID, str(ID), zone=ZoneInfo("Europe/Berlin"))
        assert await handle.result(SOON) == [Path("a"), ID, str(ID), "Europe/Berlin"]
