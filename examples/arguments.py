"""Arguments of many types: pydantic models, a union, a class of the program's own: `python examples/arguments.py`.

It needs pydantic (`pip install asyncjobs-redis[pydantic]`), and no server.
"""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, Field, SecretStr

from asyncjobs import App, ArgumentsError


class Money:
    """A class that neither msgspec nor pydantic knows."""

    def __init__(self, cents: int, currency: str) -> None:
        self.cents = cents
        self.currency = currency

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and (self.cents, self.currency) == (other.cents, other.currency)

    def __hash__(self) -> int:
        return hash((self.cents, self.currency))

    def __str__(self) -> str:
        return f"{self.cents / 100:.2f} {self.currency}"


def pack(money: Money) -> list[Any]:
    return [money.cents, money.currency]


def unpack(packed: list[Any]) -> Money:
    return Money(*packed)


app = App("memory://", encoders={Money: (pack, unpack)})


class Card(BaseModel):
    kind: Literal["card"] = "card"
    last_digits: str = Field(alias="lastDigits")


class Transfer(BaseModel):
    kind: Literal["transfer"] = "transfer"
    iban: str


Payment = Annotated[Card | Transfer, Field(discriminator="kind")]


class Login(BaseModel):
    password: SecretStr


@app.job
async def charge(order: UUID | str, total: Money, payment: Payment) -> Money:
    print(f"order {'by id' if isinstance(order, UUID) else order}: {total} by {type(payment).__name__}")
    return Money(total.cents // 100, total.currency)


@app.job
async def archive(folder: Path, client: IPv4Address) -> str:
    return f"{(folder / 'log.txt').as_posix()} of {client.exploded}"


@app.job
async def log_in(login: Login) -> None: ...


async def main() -> None:
    async with app, app.worker():
        one = await charge.delay(uuid4(), Money(1999, "EUR"), Card(lastDigits="4242"))
        two = await charge.delay("number 7", Money(500, "USD"), Transfer(iban="DE00"))
        print(f"fees: {await one.result(timeout=10)}, {await two.result(timeout=10)}")

        print(await (await archive.delay(Path("/srv"), IPv4Address("10.0.0.1"))).result(timeout=10))

        try:
            await log_in.delay(Login(password=SecretStr("hush")))
        except ArgumentsError as error:
            print(error)


if __name__ == "__main__":
    asyncio.run(main())
