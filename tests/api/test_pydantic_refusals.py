"""Arguments and results of pydantic that could not arrive as they were sent are refused with the reason."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from asyncjobs import App, ArgumentsError, DefinitionError
from tests.api.pydantic_models import (
    NOW,
    Aliased,
    Animal,
    Cat,
    Dog,
    Doubled,
    Either,
    Excluding,
    ExcludingRequired,
    Explosive,
    LimitedClass,
    Lion,
    Loose,
    Plain,
    SecretBlob,
    Secretive,
    Shortened,
    StrictBytes,
    Zoo,
)
from tests.api.round_trips import handler_of, round_trip, signature_of

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
        signature_of(annotation).encode((value,), {})


@pytest.mark.parametrize(
    "case", [case for case in REFUSED if "argument" in REFUSED[case][2] and case != "model under Any"]
)
def test_a_result_that_could_not_come_back_is_refused_with_the_reason(case: str) -> None:
    annotation, value, reason = REFUSED[case]
    if case == "none of the union":
        reason = "could not be read back"
    with pytest.raises(ValueError, match=reason.replace("argument", "result")):
        signature_of(annotation).returns.write_result(value)


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
        App("memory://").job(handler_of(annotation))


def test_what_a_model_holds_and_pydantic_cannot_write_is_refused_at_the_call() -> None:
    with pytest.raises(ArgumentsError, match=r"argument 'argument'.*Foreign"):
        signature_of(Cage).encode((Cage(content=Foreign()),), {})
