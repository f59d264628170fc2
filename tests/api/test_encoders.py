"""The encoders of an app carry classes of its own; without one, such a class is refused with what to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from asyncjobs import App, ArgumentsError, ConfigurationError, DefinitionError
from tests.api.round_trips import handler_of
from tests.waiting import SOON


@dataclasses.dataclass
class Base:
    a: int


class Money:
    def __init__(self, cents: int, currency: str) -> None:
        self.cents, self.currency = cents, currency

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.cents, self.currency))

    def __repr__(self) -> str:
        return f"{self.cents} {self.currency}"


class Euros(Money):
    def __init__(self, cents: int, currency: str = "EUR") -> None:
        super().__init__(cents, currency)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Euros) and vars(self) == vars(other)

    __hash__ = Money.__hash__


@dataclasses.dataclass
class Bill:
    total: Money
    parts: list[Money]


ENCODERS = {Money: (lambda money: [money.cents, money.currency], lambda value: Money(*value))}

app = App("memory://", encoders=ENCODERS)


@app.job(executor="process")
def double_in_process(money: Money) -> Money:
    return Money(money.cents * 2, money.currency)


@pytest.mark.anyio
async def test_the_encoders_of_an_app_send_arguments_and_results_of_its_jobs(make_app: Callable[..., App]) -> None:
    app = make_app(encoders=ENCODERS)

    @app.job
    async def double(bill: Bill, factor: Money | int, more: Money | None = None) -> dict[str, Money]:
        assert isinstance(factor, int)
        return {str(index): Money(one.cents * factor, one.currency) for index, one in enumerate(bill.parts)}

    @app.job
    def halve(money: Money) -> list[Money]:
        return [Money(money.cents // 2, money.currency)]

    async with app, app.worker():
        bill = Bill(Money(3, "EUR"), [Money(1, "EUR"), Money(2, "USD")])
        handle = await double.delay(bill, 2)
        assert await handle.result(SOON) == {"0": Money(2, "EUR"), "1": Money(4, "USD")}
        [handle] = await app.enqueue_many([halve.request(Money(4, "EUR"))])
        assert await handle.result(SOON) == [Money(2, "EUR")]


@pytest.mark.anyio
async def test_the_encoders_of_an_app_reach_the_process_of_a_handler() -> None:
    async with app, app.worker():
        assert await (await double_in_process.delay(Money(2, "EUR"))).result(SOON) == Money(4, "EUR")


def test_a_subclass_is_not_sent_as_the_class_of_the_encoder() -> None:
    app = App("memory://", encoders=ENCODERS)

    @app.job
    async def work(money: Money) -> None: ...

    with pytest.raises(ArgumentsError, match="money is of type Euros and would arrive as Money"):
        work.request(Euros(1))


def test_what_an_encoder_raises_is_the_reason() -> None:
    def fail(value: Any) -> Any:
        raise KeyError("boom")

    writing = App("memory://", encoders={Money: (fail, fail)})
    reading = App("memory://", encoders={Money: (ENCODERS[Money][0], fail)})
    for app in (writing, reading):

        @app.job
        async def work(money: Money) -> None: ...

        with pytest.raises(ArgumentsError, match=r"argument 'money'.*boom"):
            work.request(Money(1, "EUR"))


@pytest.mark.parametrize(
    ("encoders", "reason"),
    [
        ({Money: str}, "a pair of functions"),
        ({Money: (str, None)}, "a pair of functions"),
        ({"Money": (str, str)}, "expected a class"),
        ({datetime: (str, str)}, "datetime, which is encoded without one"),
        ({Base: (str, str)}, "Base, which is encoded without one"),
        ({object: (str, str)}, "object, which is encoded without one"),
        ([Money], "expected a mapping"),
    ],
)
def test_an_encoder_that_could_not_work_is_refused(encoders: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        App("memory://", encoders=encoders)


def test_a_class_without_an_encoder_is_refused_with_what_to_do() -> None:
    with pytest.raises(DefinitionError, match=r"parameter 'argument' is annotated with Money.*App\(encoders=…\)"):
        App("memory://").job(handler_of(Money))
