"""Arguments and results of pydantic: they arrive as they were sent, or are refused with the reason."""

from __future__ import annotations

import dataclasses
import enum
import ipaddress
import math
import subprocess
import sys
import typing
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import msgspec
import pydantic
import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    HttpUrl,
    PositiveInt,
    RootModel,
    SecretBytes,
    SecretStr,
    SerializeAsAny,
    Tag,
    ValidationInfo,
    computed_field,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from typing_extensions import TypeAliasType

from asyncjobs import App, ArgumentsError, DefinitionError, JobFailed
from asyncjobs.jobs.signature import Signature
from tests.waiting import SOON

T = TypeVar("T")

NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


class Plain(BaseModel):
    number: int
    at: datetime = NOW


class Aliased(BaseModel):
    user_id: int = Field(alias="userId")


class AliasedWhenRead(BaseModel):
    user_id: int = Field(validation_alias=AliasChoices("userId", AliasPath("user", "id")))


class AliasedWhenWritten(BaseModel):
    user_id: int = Field(serialization_alias="userId")


class AliasedTwice(BaseModel):
    user_id: int = Field(validation_alias="uid", serialization_alias="userId")


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")
    first_name: str
    inner: Aliased


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    id: uuid.UUID
    at: datetime
    price: Decimal
    path: Path
    tags: tuple[str, ...]
    by_number: dict[int, float]


class Square(BaseModel):
    model_config = ConfigDict(extra="forbid")
    side: int

    @computed_field
    @property
    def area(self) -> int:
        return self.side**2


class Blob(BaseModel):
    data: bytes
    at: datetime = NOW


class StrictBlob(BaseModel):
    model_config = ConfigDict(strict=True, ser_json_bytes="base64", val_json_bytes="base64")
    data: bytes
    id: uuid.UUID = uuid.UUID(int=7)


class Revealed(BaseModel):
    password: SecretStr

    @field_serializer("password")
    def reveal(self, password: SecretStr) -> str:
        return password.get_secret_value()


class Either(BaseModel):
    id: uuid.UUID | str


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Measure(BaseModel):
    value: float


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    name: str = ""


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str = ""


class AliasedDog(BaseModel):
    pet_kind: Literal["dog"] = Field("dog", alias="petKind")


class AliasedCat(BaseModel):
    pet_kind: Literal["cat"] = Field("cat", alias="petKind")


class Red(BaseModel):
    shade: int


class Green(BaseModel):
    shade: int


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]
AliasedPet = Annotated[AliasedCat | AliasedDog, Field(discriminator="pet_kind")]


def _tag(value: Any) -> str:
    return value["kind"] if isinstance(value, dict) else value.kind  # type: ignore[no-any-return]


Tagged = Annotated[Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")], Discriminator(_tag)]


Identifier = TypeAliasType("Identifier", uuid.UUID | str)
SomePet = TypeAliasType("SomePet", Pet)


class Owner(BaseModel):
    pet: Pet
    others: list[Cat | Dog] = []


class Page(BaseModel, Generic[T]):
    items: list[T]


class Numbers(RootModel[list[int]]):
    pass


class Tree(BaseModel):
    children: list[Tree] = []


class Private(BaseModel):
    a: int
    _cache: object = pydantic.PrivateAttr(default_factory=object)


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)
    a: int


class Parsed(BaseModel):
    data: pydantic.Json[dict[str, int]]


class Colour(enum.Enum):
    RED = "red"


class Mixed(BaseModel):
    colour: Colour
    network: ipaddress.IPv6Network
    url: HttpUrl
    numbers: set[int]
    nothing: None = None


@dataclasses.dataclass
class Parcel:
    content: Plain
    pet: Cat | Dog
    weight: Decimal = Decimal("1.5")


@dataclasses.dataclass
class PlainParcel:
    content: Aliased
    label: bytes


@pydantic.dataclasses.dataclass
class Checked:
    amount: PositiveInt
    at: datetime = NOW


class Record(msgspec.Struct):
    content: Aliased


class Mixture(msgspec.Struct):
    pet: Cat | Dog


class Limited(msgspec.Struct):
    """msgspec reads no metadata of others."""

    amount: PositiveInt


@dataclasses.dataclass
class LimitedClass:
    amount: PositiveInt
    data: bytes


class Row(TypedDict):
    content: Aliased
    pet: Cat | Dog


class Pair(NamedTuple):
    first: Plain
    second: Cat | None


class Aware(BaseModel):
    """A validator that changes its value, but not again what the job brings."""

    n: int

    @field_validator("n")
    @classmethod
    def twice(cls, value: int, info: ValidationInfo) -> int:
        return value if info.context and info.context.get("asyncjobs") else value * 2


def _function(annotation: Any) -> Callable[..., Any]:
    def work(argument):  # type: ignore[no-untyped-def]
        return argument

    work.__annotations__ = {"argument": annotation, "return": annotation}
    return work


def round_trip(annotation: Any, value: Any) -> Any:
    signature = Signature(_function(annotation), "work")
    raw, keywords = signature.encode((value,), {})
    (arrived,), _ = signature.decode(msgspec.Raw(raw), keywords)
    return arrived


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
    codec = Signature(_function(annotation), "work").returns
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


# -- what can't arrive


class Secretive(BaseModel):
    password: SecretStr


class SecretBlob(BaseModel):
    token: SecretBytes


class Excluding(BaseModel):
    a: int = 1
    hidden: str = Field("default", exclude=True)


class ExcludingRequired(BaseModel):
    hidden: str = Field(exclude=True)


class Animal(BaseModel):
    name: str


class Lion(Animal):
    mane: int = 3


class Zoo(BaseModel):
    first: Animal
    as_any: SerializeAsAny[Animal] | None = None


class Loose(BaseModel):
    data: Any


class Doubled(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def twice(cls, value: int) -> int:
        return value * 2


class Shortened(BaseModel):
    n: int

    @field_serializer("n")
    def shorten(self, n: int) -> int:
        return n // 10


class Explosive(BaseModel):
    n: int

    @model_validator(mode="after")
    def explode(self, info: ValidationInfo) -> Explosive:
        if info.context:
            raise KeyError("boom")
        return self


class StrictBytes(BaseModel):
    model_config = ConfigDict(strict=True)
    data: bytes
    id: uuid.UUID = uuid.UUID(int=7)


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "secret": (
        Secretive,
        Secretive(password="hush"),
        "argument.password is a SecretStr, which is written as",
    ),
    "secret alone": (SecretStr, SecretStr("hush"), "is a SecretStr"),
    "secret bytes": (SecretBlob, SecretBlob(token=b"hush"), "argument.token is a SecretBytes"),
    "secret in a list": (list[Secretive], [Secretive(password="hush")], r"argument\[0\].password is a SecretStr"),
    "excluded": (Excluding, Excluding(hidden="x"), "argument.hidden is 'x' and would arrive as 'default'"),
    "excluded and required": (ExcludingRequired, ExcludingRequired(hidden="x"), "hidden\n.*Field required"),
    "subclass": (Animal, Lion(name="leo"), "argument is of type Lion and would arrive as Animal"),
    "subclass in a field": (Zoo, Zoo(first=Lion(name="leo")), "argument.first is of type Lion"),
    "subclass as any": (Zoo, Zoo(first=Animal(name="a"), as_any=Lion(name="leo")), "argument.as_any is of type Lion"),
    "subclass in a dict": (dict[str, Animal], {"a": Lion(name="leo")}, r"argument\['a'\] is of type Lion"),
    "datetime under Any": (Loose, Loose(data=NOW), "argument.data is of type datetime and would arrive as str"),
    "numbers as keys under Any": (Loose, Loose(data={1: "a"}), r"argument.data\[1\] would not arrive"),
    "a union that looks alike in JSON": (Either, Either(id=str(uuid.UUID(int=7))), "argument.id is of type str and"),
    "set under Any": (Loose, Loose(data={"deep": [{1}]}), r"argument.data\['deep'\]\[0\] is of type set"),
    "model under Any": (Any, Plain(number=1), "argument is of type Plain and would arrive as dict"),
    "transformed again": (Doubled, Doubled(n=1), "argument.n is 2 and would arrive as 4"),
    "serialized to another": (Shortened, Shortened(n=15), "argument.n is 15 and would arrive as 1"),
    "a validator's own error": (Explosive, Explosive(n=1), "boom"),
    "bytes that JSON can't hold": (StrictBytes, StrictBytes(data=b"\xff"), "id\n.*UUID"),
    "outside its limits": (Annotated[int, Field(gt=0)], -5, "greater than 0"),
    "outside the limits of a dataclass": (LimitedClass, LimitedClass(-5, b""), "greater than 0"),
    "none of the union": (Cat | Dog, 5, "does not fit its annotation"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_value_that_could_not_arrive_is_refused_with_the_reason(case: str) -> None:
    annotation, value, reason = REFUSED[case]
    with pytest.raises(ArgumentsError, match=rf"(?s)argument 'argument'.*{reason}"):
        Signature(_function(annotation), "work").encode((value,), {})


@pytest.mark.parametrize(
    "case", [case for case in REFUSED if "argument" in REFUSED[case][2] and case != "model under Any"]
)
def test_a_result_that_could_not_come_back_is_refused_with_the_reason(case: str) -> None:
    annotation, value, reason = REFUSED[case]
    if case == "none of the union":
        reason = "could not be read back"
    with pytest.raises(ValueError, match=reason.replace("argument", "result")):
        Signature(_function(annotation), "work").returns.write_result(value)


def test_plain_data_is_taken_for_a_model_with_names_or_with_aliases_and_validated_once() -> None:
    assert round_trip(Aliased, {"userId": 5}) == Aliased(userId=5)
    assert round_trip(Aliased, {"user_id": 5}) == Aliased(userId=5)
    assert round_trip(list[Cat | Dog], [{"kind": "dog", "name": "rex"}]) == [Dog(name="rex")]
    assert round_trip(Doubled, {"n": 1}).n == 2


class Foreign:
    """A class that nobody knows."""


class Cage(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    content: Foreign


@dataclasses.dataclass
class Crate:
    content: Foreign
    pet: Cat | Dog


@pytest.mark.parametrize("annotation", [Crate, list[Cat | Foreign]])
def test_what_neither_can_read_is_refused_at_the_definition(annotation: Any) -> None:
    with pytest.raises(DefinitionError, match="parameter 'argument'"):
        App("memory://").job(_function(annotation))


def test_what_a_model_holds_and_pydantic_cannot_write_is_refused_at_the_call() -> None:
    with pytest.raises(ArgumentsError, match=r"argument 'argument'.*Foreign"):
        Signature(_function(Cage), "work").encode((Cage(content=Foreign()),), {})


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
    signature = Signature(_function(Plain), "work")
    assert signature.decode(msgspec.Raw(old), ()) == ((Plain(number=1),), {})
    assert signature.encode((Plain(number=1),), {})[0] == old


def test_a_record_of_before_is_read_after_the_annotation_has_become_a_union() -> None:
    old, _ = Signature(_function(Cat), "work").encode((Cat(name="tom"),), {})
    assert Signature(_function(Cat | Dog), "work").decode(msgspec.Raw(old), ()) == ((Cat(name="tom"),), {})


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
