"""Models of pydantic, and types with models in them, of every kind that may be an argument."""

from __future__ import annotations

import dataclasses
import enum
import ipaddress
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import msgspec
import pydantic
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
