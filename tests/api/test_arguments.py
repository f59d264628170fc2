"""Arguments: bound, checked and encoded at the call, decoded into the handler's types."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs import App, ArgumentsError, DefinitionError, PayloadTooLarge
from asyncjobs.jobs.signature import Signature
from tests.apps import prepared


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int = 0


class Record(msgspec.Struct):
    name: str


class Model(pydantic.BaseModel):
    number: int
    at: datetime


class Opaque:
    pass


def round_trip(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Send a call over the wire and return what the handler would be given."""
    signature = Signature(function, "work")
    raw, keywords = signature.encode(args, kwargs)
    return signature.decode(msgspec.Raw(raw), keywords)


NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 5),
        (float, 0.5),
        (str, "größe"),
        (bytes, b"\x00\xff"),
        (bool, True),
        (datetime, NOW),
        (date, NOW.date()),
        (timedelta, timedelta(seconds=5)),
        (uuid.UUID, uuid.UUID(int=7)),
        (Decimal, Decimal("1.10")),
        (Colour, Colour.RED),
        (set[int], {1, 2}),
        (tuple[int, str], (1, "a")),
        (dict[str, list[int]], {"a": [1]}),
        (int | None, None),
        (Literal["a", "b"], "b"),
        (Point, Point(1, 2)),
        (Record, Record("a")),
        (Model, Model(number=1, at=NOW)),
        (list[Model], [Model(number=1, at=NOW)]),
        (Any, {"a": 1}),
        (object, [1]),
    ],
)
def test_a_value_arrives_as_its_annotated_type(annotation: Any, value: Any) -> None:
    def work(argument):  # type: ignore[no-untyped-def]
        ...

    work.__annotations__ = {"argument": annotation}
    (found,), _ = round_trip(work, value)
    assert found == value
    assert type(found) is type(value)


def mixed(a: int, b: str = "b", /, c: float = 0.5, *rest: int, d: str, e: int = 5, **more: bool) -> None: ...


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        ((1,), {"d": "x"}, ((1,), {"d": "x"})),
        ((1, "z", 2.0, 3, 4), {"d": "x", "e": 6}, ((1, "z", 2.0, 3, 4), {"d": "x", "e": 6})),
        ((1,), {"c": 2.0, "d": "x"}, ((1,), {"c": 2.0, "d": "x"})),
        ((1,), {"d": "x", "other": True}, ((1,), {"d": "x", "other": True})),
    ],
)
def test_every_kind_of_parameter_gets_its_value(args: Any, kwargs: Any, expected: Any) -> None:
    assert round_trip(mixed, *args, **kwargs) == expected


def test_keywords_after_an_omitted_default_are_passed_by_name_and_others_in_order() -> None:
    def work(a: int, b: int = 2, c: int = 3) -> None: ...

    assert round_trip(work, 1, c=5) == ((1,), {"c": 5})
    assert round_trip(work, b=7, a=1) == ((1, 7), {})


def test_a_default_is_the_workers_not_the_senders() -> None:
    def sent(a: int, b: int = 1) -> None: ...

    def later(a: int, b: int = 2, c: int = 3) -> None: ...

    raw, keywords = Signature(sent, "work").encode((5,), {})
    assert Signature(later, "work").decode(msgspec.Raw(raw), keywords) == ((5,), {})


def plain(to: str, subject: str, count: int = 1) -> None: ...


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        (("a",), {}, "is missing 'subject'. Its parameters are (to: 'str', subject: 'str'"),
        (("a", "b", 1, 2), {}, "takes 3 positional arguments, but 4 were given"),
        (("a",), {"subjct": "b"}, "has no parameter 'subjct'. Did you mean 'subject'? Its parameters are"),
        (("a",), {"titel": "b"}, "has no parameter 'titel'. Its parameters are"),
        (("a", "b"), {"to": "c"}, "got two values for 'to'"),
        ((1, "b"), {}, "argument 'to' does not fit its annotation str"),
        (("a", "b"), {"count": "many"}, "argument 'count' does not fit"),
        ((Opaque(), "b"), {}, "argument 'to' of type Opaque can't be encoded"),
    ],
)
def test_a_call_that_does_not_fit_is_refused_with_the_arguments_name(args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(ArgumentsError) as caught:
        Signature(plain, "plain").encode(args, kwargs)
    assert message in str(caught.value)


def test_what_cannot_be_encoded_anywhere_inside_is_refused() -> None:
    def work(data: Any) -> None: ...

    with pytest.raises(ArgumentsError, match="'data'"):
        Signature(work, "work").encode(({"deep": [Opaque()]},), {})


def test_an_annotation_that_cannot_be_decoded_is_refused_at_the_definition() -> None:
    app = App("memory://")
    with pytest.raises(DefinitionError, match="parameter 'thing' is annotated with Opaque"):

        @app.job
        async def work(thing: list[Opaque]) -> None: ...

    with pytest.raises(DefinitionError, match="the return value is annotated with Opaque"):

        @app.job
        async def other() -> Opaque: ...


def test_an_annotation_defined_further_down_is_resolved_at_the_first_use() -> None:
    app = App("memory://")

    @app.job
    async def work(thing: Later) -> None: ...  # noqa: F821 - that is the point

    with pytest.raises(DefinitionError, match="can't be resolved"):
        work.request(None)  # type: ignore[arg-type]
    globals()["Later"] = Point
    try:
        assert work.request(Point(1)).arguments
    finally:
        del globals()["Later"]


def test_a_generator_is_no_handler() -> None:
    app = App("memory://")
    with pytest.raises(DefinitionError, match="generator"):

        @app.job
        async def work():  # type: ignore[no-untyped-def]
            yield 1


def test_the_hash_of_a_signature_changes_with_names_types_and_defaults() -> None:
    def one(a: int) -> None: ...

    def two(b: int) -> None: ...

    def three(a: str) -> None: ...

    def four(a: int = 1) -> None: ...

    hashes = {Signature(function, "work").hash for function in (one, two, three, four)}
    assert len(hashes) == 4
    assert all(0 <= one < 2**32 for one in hashes)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20), st.dictionaries(st.text(max_size=5), st.text()))
def test_whatever_is_sent_arrives(numbers: list[int], texts: dict[str, str]) -> None:
    def work(*numbers: int, **texts: str) -> None: ...

    assert round_trip(work, *numbers, **texts) == (tuple(numbers), texts)


def returning_its_arguments(only: int, either: int, rest: bool, named: int, others: bool, defaults: int) -> Any:
    """Make a function with so many parameters of each kind, of which all but the first ``defaults`` have a default."""
    names = [*(f"p{n}" for n in range(only)), *(f"a{n}" for n in range(either)), *(f"k{n}" for n in range(named))]
    texts = [name if number < defaults else f"{name}=None" for number, name in enumerate(names)]
    bare = ["*rest"] if rest else ["*"] if named else []
    texts = [*texts[:only], *["/"][: bool(only)], *texts[only : only + either], *bare, *texts[only + either :]]
    module: dict[str, Any] = {}
    exec(f"def work({', '.join([*texts, *['**others'][:others]])}): return locals()", module)
    return module["work"]


@given(
    st.builds(
        returning_its_arguments,
        st.integers(0, 2),
        st.integers(0, 3),
        st.booleans(),
        st.integers(0, 2),
        st.booleans(),
        st.integers(0, 5),
    ),
    st.integers(0, 6),
    st.lists(
        st.sampled_from(["p0", "p1", "a0", "a1", "a2", "k0", "k1", "rest", "others", "x"]), unique=True, max_size=5
    ),
)
def test_a_call_is_refused_if_python_would_and_else_arrives_as_it_was(
    function: Callable[..., Any], count: int, names: list[str]
) -> None:
    args, kwargs = tuple(range(count)), {name: 100 + number for number, name in enumerate(names)}
    try:
        wanted = function(*args, **kwargs)
    except TypeError:
        with pytest.raises(ArgumentsError, match=r"takes|two values|has no parameter|is missing '"):
            round_trip(function, *args, **kwargs)
    else:
        args, kwargs = round_trip(function, *args, **kwargs)
        assert function(*args, **kwargs) == wanted


@pytest.mark.parametrize("raw", [b"", b"\xc0", b"\xdc\x00", b"\xdd\xff\xff\xff\xff\x01", b"\x93\x01"])
def test_damaged_arguments_are_refused_without_being_believed(raw: bytes) -> None:
    def work(*numbers: int) -> None: ...

    with pytest.raises(ArgumentsError, match=r"are damaged|do not fit"):
        Signature(work, "work").decode(msgspec.Raw(raw), ())


def test_a_job_larger_than_the_limit_is_refused_at_the_call() -> None:
    app = App("memory://", max_payload=2_000)

    @app.job
    async def work(data: bytes) -> None: ...

    request = work.request(b"x" * 2_000)
    with pytest.raises(PayloadTooLarge, match="max_payload allows 2000"):
        prepared(app, request)
