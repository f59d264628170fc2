"""Arguments and results of pydantic arrive as they were sent."""

from __future__ import annotations

import ipaddress
import math
import subprocess
import sys
import typing
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, PositiveInt, computed_field

from asyncjobs import App, JobFailed
from tests.api.pydantic_models import (
    NOW,
    Aliased,
    AliasedDog,
    AliasedPet,
    AliasedTwice,
    AliasedWhenRead,
    AliasedWhenWritten,
    Aware,
    Blob,
    Camel,
    Cat,
    Checked,
    Colour,
    Dog,
    Doubled,
    Either,
    Extra,
    Frozen,
    Green,
    Identifier,
    Limited,
    LimitedClass,
    Measure,
    Mixed,
    Mixture,
    Numbers,
    Owner,
    Page,
    Pair,
    Parcel,
    Parsed,
    Pet,
    Plain,
    PlainParcel,
    Private,
    Record,
    Red,
    Revealed,
    Row,
    Secretive,
    SomePet,
    Square,
    Strict,
    StrictBlob,
    Tagged,
    Tree,
)
from tests.api.round_trips import round_trip, signature_of
from tests.waiting import SOON

STRICT = Strict(
    id=uuid.UUID(int=7), at=NOW, price=Decimal("1.10"), path=Path("/a"), tags=("a", "b"), by_number={1: 0.5}
)
CASES: dict[str, tuple[Any, Any]] = {
    "plain": (Plain, Plain(number=1)),
    "alias": (Aliased, Aliased(userId=1)),
    "validation alias": (AliasedWhenRead, AliasedWhenRead(userId=1)),
    "serialization alias": (AliasedWhenWritten, AliasedWhenWritten(user_id=1)),
    "two aliases": (AliasedTwice, AliasedTwice(uid=1)),
    "alias generator": (Camel, Camel(firstName="a", inner=Aliased(userId=1))),
    "strict": (Strict, STRICT),
    "computed field, extra forbidden": (Square, Square(side=3)),
    "bytes": (Blob, Blob(data=b"\x00\xff\xfe")),
    "bytes as text": (Blob, Blob(data=b"text")),
    "strict bytes": (StrictBlob, StrictBlob(data=b"\x00\xff")),
    "revealed secret": (Revealed, Revealed(password="hush")),
    "extra": (Extra, Extra(a=1, b=[2])),
    "infinity": (Measure, Measure(value=math.inf)),
    "mixed": (
        Mixed,
        Mixed(
            colour=Colour.RED,
            network=ipaddress.IPv6Network("2001:db8::/32"),
            url=HttpUrl("https://example.com/a"),
            numbers={1, 2},
        ),
    ),
    "recursive": (Tree, Tree(children=[Tree(), Tree(children=[Tree()])])),
    "private attribute": (Private, Private(a=1)),
    "set of frozen": (set[Frozen], {Frozen(a=1), Frozen(a=2)}),
    "list": (list[Aliased], [Aliased(userId=1)]),
    "dict": (dict[str, Strict], {"a": STRICT}),
    "tuple": (tuple[Aliased, int], (Aliased(userId=1), 2)),
    "optional": (Aliased | None, Aliased(userId=1)),
    "typing.Optional": (typing.Optional[Strict], None),  # noqa: UP045 - users write it
    "dataclass": (PlainParcel, PlainParcel(Aliased(userId=1), b"\xff")),
    "dataclass with a union": (Parcel, Parcel(Plain(number=1), Dog())),
    "dataclass of pydantic": (Checked, Checked(5)),
    "list of dataclasses of pydantic": (list[Checked], [Checked(5)]),
    "struct": (Record, Record(Aliased(userId=1))),
    "struct with a union": (Mixture, Mixture(Dog())),
    "struct with limits for another": (Limited, Limited(5)),
    "dataclass with limits": (LimitedClass, LimitedClass(5, b"\xff")),
    "typed dict": (Row, {"content": Aliased(userId=1), "pet": Dog()}),
    "named tuple": (Pair, Pair(Plain(number=1), Cat())),
    "generic": (Page[Aliased], Page[Aliased](items=[Aliased(userId=1)])),
    "generic without its argument": (Page[Plain], Page(items=[Plain(number=1)])),
    "nested generic": (Page[Page[Strict]], Page[Page[Strict]](items=[Page[Strict](items=[STRICT])])),
    "root model": (Numbers, Numbers([1, 2])),
    "union": (Cat | Dog, Dog(name="rex")),
    "union with None": (Cat | Dog | None, Dog()),
    "union of two that look alike": (Red | Green, Green(shade=1)),
    "list of two that look alike": (list[Red | Green], [Green(shade=1), Red(shade=2)]),
    "dict of a union": (dict[str, list[Cat | Dog]], {"a": [Cat(), Dog()]}),
    "tuple of a union": (tuple[Cat | Dog, ...], (Cat(), Dog())),
    "a union in a model": (Either, Either(id=uuid.UUID(int=7))),
    "list of one model or of another": (list[Red] | list[Green], [Green(shade=1)]),
    "model or number": (Plain | int, 5),
    "model or text": (Plain | str, Plain(number=1)),
    "model or dict": (Plain | dict[str, Any], {"number": 5}),
    "discriminated": (Pet, Dog()),
    "discriminated by an alias": (AliasedPet, AliasedDog()),
    "discriminated by a function": (Tagged, Dog()),
    "list of discriminated": (list[Pet], [Dog(), Cat()]),
    "optional discriminated": (Pet | None, Dog()),
    "union in a model": (Owner, Owner(pet=Dog(), others=[Cat(), Dog()])),
    "annotated": (Annotated[int, Field(gt=0)], 5),
    "positive": (list[PositiveInt], [5]),
    "url": (HttpUrl, HttpUrl("https://example.com/")),
    "typed dict or path": (Row | Path, {"content": Aliased(userId=1), "pet": Dog()}),
    "alias of a union": (Identifier, "00000000-0000-0000-0000-000000000007"),
    "list of an alias": (list[SomePet], [Dog()]),
    "json value": (pydantic.JsonValue, {"a": [1, "b", None]}),
    "json in a model": (Parsed, Parsed(data='{"a": 1}')),
    "aware of the job": (Aware, Aware(n=1)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_value_arrives_as_it_was(case: str) -> None:
    annotation, value = CASES[case]
    arrived = round_trip(annotation, value)
    if case == "private attribute":
        assert arrived.a == value.a
    elif case == "generic without its argument":
        assert arrived.items == value.items
    else:
        assert arrived == value
        assert type(arrived) is type(value)


@pytest.mark.parametrize("case", CASES)
def test_a_result_comes_back_as_it_was(case: str) -> None:
    annotation, value = CASES[case]
    codec = signature_of(annotation).returns
    arrived = codec.decode(codec.write_result(value))
    if case == "private attribute":
        assert arrived.a == value.a
    elif case == "generic without its argument":
        assert arrived.items == value.items
    else:
        assert arrived == value
        assert type(arrived) is type(value)


def test_a_number_that_is_none_arrives() -> None:
    assert math.isnan(round_trip(Measure, Measure(value=math.nan)).value)


# -- on the way through a worker


class Order(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    order_id: uuid.UUID = Field(alias="orderId")
    pets: list[Pet] = []

    @computed_field
    @property
    def count(self) -> int:
        return len(self.pets)


def add_pet(order: Order, pet: Cat | Dog) -> Order:
    assert isinstance(order, Order)
    return order.model_copy(update={"pets": [*order.pets, pet]})


async def add_pet_async(order: Order, pet: Cat | Dog) -> Order:
    return add_pet(order, pet)


def give_number(model: Doubled) -> int:
    return model.n


def give_secret() -> Secretive:
    return Secretive(password="hush")


def give_union(is_red: bool) -> Red | Green:
    return Red(shade=1) if is_red else Green(shade=1)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("handler", "executor"), [(add_pet_async, "default"), (add_pet, "default"), (add_pet, "process")]
)
async def test_models_pass_every_kind_of_handler_and_every_way_of_sending(
    app: App, handler: Callable[..., Any], executor: str
) -> None:
    options: dict[str, Any] = {"executor": "process"} if executor == "process" else {}
    work = app.job(name="work", **options)(handler)
    order = Order(orderId=uuid.UUID(int=5), pets=[Cat()])
    expected = Order(orderId=uuid.UUID(int=5), pets=[Cat(), Dog(name="rex")])
    async with app, app.worker():
        one = await work.delay(order, Dog(name="rex"))
        many = await app.enqueue_many([work.request(order, pet=Dog(name="rex"))])
        for handle in (one, *many):
            assert await handle.result(SOON) == expected


@pytest.mark.anyio
@pytest.mark.parametrize("options", [{}, {"executor": "process"}])
async def test_a_result_is_refused_or_comes_back_through_every_kind_of_handler(app: App, options: Any) -> None:
    number, secret = app.job(**options)(give_number), app.job(**options)(give_secret)
    union = app.job(**options)(give_union)
    async with app, app.worker():
        # Given as plain data, it is validated once: where the handler runs.
        assert await (await number.delay({"n": 1})).result(SOON) == 2
        assert await (await union.delay(False)).result(SOON) == Green(shade=1)
        assert await (await union.delay(True)).result(SOON) == Red(shade=1)
        with pytest.raises(JobFailed, match=r"result.password is a SecretStr"):
            await (await secret.delay()).result(SOON)


@pytest.mark.anyio
async def test_a_schedule_carries_a_model(app: App) -> None:
    seen: list[Order] = []

    @app.job
    async def work(order: Order) -> None:
        seen.append(order)

    async with app, app.worker():
        await app.add_schedule("often", work.request(Order(orderId=uuid.UUID(int=5))), every=3600)
        handle = await app.trigger_schedule("often")
        await handle.result(SOON)
    assert seen == [Order(orderId=uuid.UUID(int=5))]


# -- what is stored


def test_a_record_of_before_is_read() -> None:
    """Models were stored as a mapping of their fields, written by ``model_dump(mode="json")``."""
    old = msgspec.msgpack.encode([Plain(number=1).model_dump(mode="json")])
    signature = signature_of(Plain)
    assert signature.decode(msgspec.Raw(old), ()) == ((Plain(number=1),), {})
    assert signature.encode((Plain(number=1),), {})[0] == old


def test_a_record_of_before_is_read_after_the_annotation_has_become_a_union() -> None:
    old, _ = signature_of(Cat).encode((Cat(name="tom"),), {})
    assert signature_of(Cat | Dog).decode(msgspec.Raw(old), ()) == ((Cat(name="tom"),), {})


def test_pydantic_is_not_imported_where_it_is_not_used() -> None:
    program = (
        "import sys\n"
        "from asyncjobs import App\n"
        "app = App('memory://')\n"
        "@app.job\n"
        "async def work(a: int, b: dict[str, list[str]], c: object = None) -> str: ...\n"
        "work.request(1, {'a': []}, c=[1])\n"
        "assert 'pydantic' not in sys.modules and 'fractions' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
