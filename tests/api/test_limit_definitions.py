"""Limits of jobs and turns of queues as programs write them: in which line each call waits, and what is refused."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import msgspec
import pytest

from asyncjobs import (
    TENANT,
    App,
    ArgumentsError,
    Debounce,
    DefinitionError,
    Limit,
    Middleware,
    Rate,
    RateLimited,
    Secret,
    Unique,
    tenant_scope,
)
from asyncjobs.brokers.memory import MemoryBroker
from asyncjobs.core.lines import gates_in, group_in
from asyncjobs.jobs.steering import pack_steering, unpack_steering
from asyncjobs.ports import EnqueueReply, FireReply, Firing, NewJob
from asyncjobs.testing import Attempt
from tests.api.absurd import ABSURD

pytestmark = pytest.mark.anyio

stripe = Limit("stripe", running=20, rate="50/s")
customer = Limit("customer", running=3)

CustomerId = NewType("CustomerId", int)


class Plan(enum.Enum):
    GOLD = "gold"
    TIN = "tin"


@dataclass
class Card:
    number: str


class Noting(MemoryBroker):
    """Notes the line of each job that is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    async def enqueue(self, jobs: Sequence[NewJob], *, replicated: bool = False) -> list[EnqueueReply]:
        self.lines += [job.line for job in jobs]
        return await super().enqueue(jobs, replicated=replicated)

    async def fire(self, queue: str, firings: Sequence[Firing]) -> FireReply:
        self.lines += [job.line for firing in firings for job in firing.jobs]
        return await super().fire(queue, firings)

    @property
    def gates(self) -> list[str]:
        return gates_in(self.lines[-1])

    @property
    def group(self) -> str:
        return group_in(self.lines[-1])


@pytest.fixture
def broker() -> Noting:
    return Noting()


@pytest.fixture
def app(broker: Noting) -> App:
    return App(broker=broker)  # type: ignore[arg-type]


# -- the gates of a call


async def test_a_call_needs_the_gates_of_its_limits(app: App, broker: Noting) -> None:
    @app.job(limits=[stripe, customer.by("customer_id")])
    async def charge(customer_id: int, cents: int = 100) -> None: ...

    @app.job
    async def plain(number: int) -> None: ...

    async with app:
        await charge.delay(42)
        assert broker.gates == ["customer=42", "stripe"]
        await charge.delay(cents=5, customer_id=7)
        assert broker.gates == ["customer=7", "stripe"]
        await app.enqueue_many([charge.request(8, 1)])
        assert broker.gates == ["customer=8", "stripe"]
        await app.send("charge", {"customer_id": 9})
        assert broker.gates == ["customer=9", "stripe"]
        await charge.schedule_in(60, 10)
        assert broker.gates == ["customer=10", "stripe"]
        await plain.delay(1)
        assert broker.lines[-1] == ""


async def test_an_annotation_says_what_a_limit_goes_by(app: App, broker: Noting) -> None:
    @app.job
    async def plain(customer_id: Annotated[int, customer], other: Annotated[str, stripe] | None = None) -> None: ...

    async with app:
        await plain.delay(42)
        assert broker.gates == ["customer=42", "stripe=null"]
        await plain.delay(42, "x")
        assert broker.gates == ["customer=42", "stripe=x"]


async def test_a_limit_without_a_name_is_that_of_its_job(app: App, broker: Noting) -> None:
    @app.job(limits=Limit(running=5))
    async def transcode() -> None: ...

    @app.job(limits=Limit(running=5))
    async def resize() -> None: ...

    @app.job(limits=Limit(running=5), name="billing/generate-the-monthly-report")
    async def generate() -> None: ...

    async with app:
        await transcode.delay()
        assert broker.gates == ["transcode"]
        await resize.delay()
        assert broker.gates == ["resize"]
        await generate.delay()
        [gate] = broker.gates
        assert gate.startswith("billing-generate-")
        assert len(gate) <= 24


@pytest.mark.parametrize(
    ("annotation", "value", "gate"),
    [
        (str, "a b", "customer=a b"),
        (str, "a=b", "customer=a=b"),
        (int, -3, "customer=-3"),
        (bool, True, "customer=true"),
        (bool | None, None, "customer=null"),
        (date, date(2026, 11, 27), "customer=2026-11-27"),
        (Plan, Plan.GOLD, "customer=gold"),
        (Literal["gold", "tin"], "tin", "customer=tin"),
        (CustomerId, 7, "customer=7"),
        (Any, 7, "customer=7"),
        (UUID, UUID(int=3), "customer=~FKa3OLIsDGBFL9JU3yz58g"),
        (str, "long" * 250, "customer=~9MXio2VYWC8rkTd1oH7nkA"),
        # None and its word are two values, and no quotes make them one.
        (str | None, "null", 'customer="null"'),
        (str | None, '"null"', 'customer=""null""'),
        (str | None, None, "customer=null"),
    ],
)
async def test_values_stand_in_the_gate_as_text(
    app: App, broker: Noting, annotation: Any, value: Any, gate: str
) -> None:
    async def work(key: Any) -> None: ...

    work.__annotations__["key"] = annotation
    job = app.job(limits=customer.by("key"))(work)
    async with app:
        await job.delay(value)
    assert broker.gates == [gate]


async def test_a_limit_may_go_by_several_values_or_the_tenant_and_stand_twice_at_a_job(
    app: App, broker: Noting
) -> None:
    @app.job(limits=[Limit("pair", running=1).by(TENANT, "key"), customer.by("payer"), customer.by("payee")])
    async def pay(payer: int, payee: int, key: str = "a,b") -> None: ...

    async with app:
        with tenant_scope("acme"):
            await pay.delay(1, 2)
        assert broker.gates == ["customer=1", "customer=2", "pair=acme,a\\,b"]
        await pay.delay(1, 1, "x")
        assert broker.gates == ["customer=1", "pair=null,x"]


async def test_keyword_only_and_following_arguments_are_found(app: App, broker: Noting) -> None:
    @app.job(limits=customer.by("key"))
    async def only(first: int, *rest: int, key: int = 5, **others: int) -> None: ...

    async with app:
        await only.delay(1, 2, 3)
        assert broker.gates == ["customer=5"]
        await only.delay(1, 2, 3, other=8, key=6)
        assert broker.gates == ["customer=6"]


async def test_ticks_of_schedules_and_changed_tenants_have_the_right_gates(broker: Noting) -> None:
    class ToAcme(Middleware):
        async def enqueue(self, requests: Any, send: Any) -> Any:
            return await send([one.with_options(tenant="acme") for one in requests])

    app = App(broker=broker, middleware=[ToAcme()])  # type: ignore[arg-type]

    @app.job(limits=customer.by(TENANT, "key"))
    async def work(key: int = 1) -> None: ...

    async with app:
        await work.delay(3)
        assert broker.gates == ["customer=acme,3"]

    noting = Noting()
    plain = App(broker=noting)  # type: ignore[arg-type]

    @plain.job(limits=customer.by("key"), every=3_600, at_start=True)
    async def tick(key: int = 1) -> None: ...

    async with plain, plain.worker():
        await plain.add_schedule("nine", tick.request(9), every=3_600)
        await plain.trigger_schedule("nine")
    assert noting.lines == ["\x1fcustomer=1", "\x1fcustomer=9"]


async def test_a_job_that_is_unique_debounced_or_moved_has_the_gates_of_its_call(app: App, broker: Noting) -> None:
    @app.job(unique=Unique(by="key"), limits=customer.by("key"))
    async def once(key: int, text: str) -> None: ...

    @app.job(debounce=Debounce(5, by="key"), limits=customer.by("text"))
    async def calm(key: int, text: str) -> None: ...

    async with app:
        await once.delay(1, "a")
        assert broker.gates == ["customer=1"]
        await calm.delay(1, "a")
        await calm.delay(1, "b")
        assert broker.lines[-2:] == ["\x1fcustomer=a", "\x1fcustomer=b"]


async def test_encrypted_arguments_have_the_same_gates(broker: Noting) -> None:
    app = App(broker=broker, encryption_keys=["A" * 43 + "="])  # type: ignore[arg-type]

    @app.job(limits=customer.by("key"))
    async def work(key: int) -> None: ...

    async with app:
        await work.delay(4)
    assert broker.gates == ["customer=4"]


# -- turns


async def test_the_jobs_of_a_queue_are_in_groups_by_what_it_is_fair_by(app: App, broker: Noting) -> None:
    app.queue("default", fair_by="plan", weights={Plan.GOLD: 3})
    app.queue("mail", fair_by=TENANT)

    @app.job
    async def report(plan: Plan | None = Plan.TIN) -> None: ...

    @app.job(limits=customer.by("key"))
    async def other(key: int) -> None: ...

    async with app:
        await report.delay()
        assert broker.group == "tin"
        await report.delay(Plan.GOLD)
        assert broker.group == "gold"
        await report.delay(None)
        assert broker.lines[-1] == ""
        # A job without the parameter has no group.
        await other.delay(1)
        assert broker.lines[-1] == "\x1fcustomer=1"
        # Each queue has turns of its own.
        with tenant_scope("acme"):
            await other.with_options(queue="mail").delay(1)
            assert broker.lines[-1] == "acme\x1fcustomer=1"
            await app.send("unknown", [], queue="mail")
            assert broker.lines[-1] == "acme"
        await other.with_options(queue="mail").delay(1)
        assert broker.lines[-1] == "\x1fcustomer=1"
        await other.with_options(queue="third").delay(1)
        assert broker.lines[-1] == "\x1fcustomer=1"


# -- what is refused


def with_key(annotation: Any, default: Any = ...) -> Callable[..., Any]:
    async def work(key: Any = default) -> None: ...

    if default is ...:
        work.__defaults__ = None
    work.__annotations__["key"] = annotation
    return work


@pytest.mark.parametrize(
    ("limits", "function", "message"),
    [
        (customer.by("kye"), with_key(int), "'customer' goes by 'kye', which is none of its parameters, key. Did you"),
        (customer.by("key"), with_key(Card), "'customer' goes by 'key', which is Card: expected text, int, bool, UUID"),
        (customer.by("key"), with_key(float), "which is float"),
        (customer.by("key"), with_key(datetime), "which is datetime"),
        (customer.by("key"), with_key(list[str]), r"which is list\[str\]"),
        (customer.by("key"), with_key(int | bytes), r"which is int \| bytes"),
        (customer.by("key"), with_key(Secret[str]), "which is secret"),
        (customer.by("key"), with_key(Any, 1.5), "whose default can't be used: 1.5 can't tell jobs apart"),
        ([stripe.by("key")] * 5, with_key(int), "has 5 limits: expected at most 4"),
        (
            [stripe, Limit("stripe", running=3)],
            with_key(int),
            "two limits 'stripe', one of 20 at once, 50/s and",
        ),
        ([Limit(running=3), Limit(running=4)], with_key(int), "two limits 'work'"),
        (stripe, with_key(Annotated[int, customer.by("key")]), "annotation of 'key' goes by 'key' already"),
        (stripe, with_key(list[Annotated[int, customer]]), "'customer' goes by 'key', which is"),
    ],
)
def test_limits_that_can_not_hold_are_refused_where_they_are_written(
    app: App, limits: Any, function: Callable[..., Any], message: str
) -> None:
    with pytest.raises(DefinitionError, match=f"job 'work'.*{message}"):
        app.job(limits=limits)(function)


def test_a_job_that_runs_without_the_broker_has_no_limits(app: App) -> None:
    with pytest.raises(DefinitionError, match="every_worker"):
        app.job(limits=stripe, every=5, every_worker=True)(with_key(int, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Limit(), "Limit got neither running nor rate"),
        (lambda: Limit("mail"), "Limit 'mail' got neither running nor rate"),
        (lambda: Limit("mail", running=0), "Limit 'mail': running=0"),
        (lambda: Limit("mail", running=-1), "running=-1"),
        (lambda: Limit("mail", running=True), "running=True"),
        (lambda: Limit("mail", running=1.5), "running=1.5"),
        (lambda: Limit("mail", rate="fast"), "rate='fast'"),
        (lambda: Limit("mail", rate="0/s"), "starts=0"),
        (lambda: Limit("a=b", running=1), "name='a=b': expected 1 to 24 letters"),
        (lambda: Limit("", running=1), "name=''"),
        (lambda: Limit("n" * 25, running=1), "name="),
        (lambda: Limit(3, running=1), "name=3"),
        (lambda: customer.by(), r"by\(\): expected one parameter or more"),
        (lambda: customer.by("a", "a"), "each once"),
        (lambda: customer.by(3), r"by\(3\)"),
        (
            lambda: RateLimited(after="soon"),
            "after='soon': expected seconds, a timedelta, or the text of a",
        ),
        (lambda: RateLimited(after=-1), "after=-1"),
        (lambda: RateLimited(3, after=1), "limit=3"),
    ],
)
def test_numbers_and_names_that_are_none_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArgumentsError, match=message):
        make()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no running, rate or fair_by"),
        ({"fair_by": 3}, "fair_by=3"),
        ({"fair_by": ""}, "fair_by=''"),
        ({"weights": {"gold": 3}}, "without fair_by"),
        ({"running": 1, "fair": "time"}, "without fair_by"),
        ({"fair_by": TENANT, "fair": "luck"}, "fair='luck'"),
        ({"fair_by": TENANT, "weights": [3]}, "weights="),
        ({"fair_by": TENANT, "weights": {"gold": 0}}, "'gold': 0: expected a number from 0.001 to 1000"),
        ({"fair_by": TENANT, "weights": {"gold": -1}}, "'gold': -1"),
        ({"fair_by": TENANT, "weights": {"gold": "3"}}, "'gold': '3'"),
        ({"fair_by": TENANT, "weights": {"gold": float("nan")}}, "'gold': nan"),
        ({"fair_by": TENANT, "weights": {None: 3}}, "jobs with None have no group"),
        ({"fair_by": TENANT, "weights": {1.5: 3}}, "the group 1.5 can't tell jobs apart"),
    ],
)
def test_turns_that_can_not_be_taken_are_refused(app: App, given: Any, message: str) -> None:
    with pytest.raises(ArgumentsError, match=message):
        app.queue("mail", **given)


def test_two_limits_of_a_name_with_other_numbers_are_refused(app: App) -> None:
    app.job(limits=stripe, name="charge")(with_key(int))
    # The same limit, and one that is equal, are one limit.
    app.job(limits=stripe.by("key"), name="refund")(with_key(int))
    app.job(limits=Limit("stripe", running=20, rate=Rate(50)), name="payout")(with_key(int))
    with pytest.raises(DefinitionError, match="'stripe': 20 at once, 50/s of job 'charge', and 3 at once of"):
        app.job(limits=Limit("stripe", running=3), name="other")(with_key(int))
    with pytest.raises(DefinitionError, match="two limits are named 'stripe'"):
        app.job(limits=Limit(running=20, rate="50/s"), name="stripe")(with_key(int))
    # Defined again, as by a reload, a job replaces itself.
    work = with_key(int)
    app.job(limits=Limit("mine", running=3))(work)
    app.job(limits=Limit("mine", running=4))(work)


def test_absurd_values_are_taken_or_refused_in_words() -> None:
    made: list[Callable[[Any], Any]] = [
        lambda given: Limit(given, running=1),
        lambda given: Limit(running=given),
        lambda given: Limit(rate=given),
        lambda given: stripe.by(given),
        lambda given: Limit(running=1, parameters=given),
        lambda given: RateLimited(given, after=1),
        lambda given: RateLimited(after=given),
        lambda given: App("memory://").job(limits=given)(with_key(int)),
        lambda given: App("memory://").queue("mail", fair_by=given),
        lambda given: App("memory://").queue("mail", fair_by=TENANT, weights=given),
        lambda given: App("memory://").queue("mail", fair_by=TENANT, weights={"gold": given}),
        lambda given: App("memory://").queue("mail", fair_by=TENANT, fair=given),
    ]
    for make in made:
        for given in ABSURD:
            with contextlib.suppress(ArgumentsError, DefinitionError):
                make(given)


async def test_a_value_that_can_not_tell_jobs_apart_is_refused_at_the_call(app: App) -> None:
    @app.job(limits=customer.by("key"))
    async def work(key: Any) -> None: ...

    async with app:
        for value in (1.5, [1], {"a": 1}, b"x", "x" * 1_001, "x" * 1_000_000):
            with pytest.raises(ArgumentsError) as caught:
                await work.delay(value)
            assert str(caught.value).startswith("job 'work': the limit 'customer' goes by 'key', and ")
            assert "can't tell jobs apart: expected text of at most 1,000 characters, a whole number" in str(
                caught.value
            )
            assert len(str(caught.value)) < 500
        with pytest.raises(ArgumentsError, match="a text of 1,001 characters"):
            await app.set_limit("default", customer, "x" * 1_001, running=1)
        with pytest.raises(ArgumentsError, match="its value has 1,001 characters; expected at most 1,000"):
            await app.set_limit("default", f"customer={'x' * 1_001}", running=1)


async def test_a_key_of_a_unique_job_may_be_of_any_length(app: App) -> None:
    @app.job(unique=Unique(by="text"))
    async def work(text: str) -> None: ...

    async with app:
        first, again, other = [await work.delay("x" * 100_000 + end) for end in "aab"]
    assert first.id == again.id != other.id


async def test_a_tenant_and_a_group_called_null_are_not_none(app: App, broker: Noting) -> None:
    app.queue("default", fair_by="key")
    app.queue("mail", fair_by=TENANT)

    @app.job(limits=customer.by(TENANT))
    async def work(key: str | None) -> None: ...

    async with app:
        await work.delay(None)
        assert broker.lines[-1] == "\x1fcustomer=null"
        with tenant_scope("null"):
            await work.delay("null")
            assert broker.lines[-1] == '"null"\x1fcustomer="null"'
            await work.with_options(queue="mail").delay(None)
            assert broker.group == '"null"'
            await app.send("unknown", [], queue="mail")
            assert broker.group == '"null"'


async def test_a_worker_does_not_start_where_turns_or_weights_are_of_nobody(app: App) -> None:
    @app.job
    async def report(plan: Plan) -> None: ...

    app.queue("default", fair_by="plna")
    async with app:
        with pytest.raises(DefinitionError, match="fair_by='plna', which is a parameter of none of its jobs: "):
            async with app.worker():
                pass

    other = App("memory://")
    other.job(report.function)
    other.queue("default", fair_by="plan", weights={"gold": 3, "silver": 2})
    async with other:
        with pytest.raises(DefinitionError, match="'silver', which is no value of 'plan': expected gold, tin"):
            async with other.worker():
                pass


@pytest.mark.parametrize(
    ("annotation", "known"),
    [
        (Plan, "gold, tin"),
        (Plan | None, "gold, tin"),
        (Annotated[Plan, "how it pays"], "gold, tin"),
        (Annotated[Plan | None, "how it pays"], "gold, tin"),
        (Literal["gold"] | Plan | None, "gold, tin"),
        (NewType("PlanOfUser", Plan), "gold, tin"),  # type: ignore[valid-newtype]
        pytest.param(
            Literal["gold", None],
            "gold",
            marks=pytest.mark.skipif(
                msgspec.__version__ < "0.22", reason="msgspec reads literals of several types since 0.22"
            ),
        ),
        (bool, "false, true"),
    ],
)
async def test_a_weight_of_a_value_that_there_is_not_is_found_in_types_with_few_values(
    annotation: Any, known: str
) -> None:
    app = App("memory://")
    app.queue("default", fair_by="key", weights={"silver": 2})
    job = app.job(with_key(annotation))
    assert job.name == "work"
    async with app:
        with pytest.raises(DefinitionError, match=f"'silver', which is no value of 'key': expected {known}$"):
            async with app.worker():
                pass


@pytest.mark.parametrize("annotation", [str, Plan | str, Any, Plan | int | None, Annotated[str | None, "its name"]])
async def test_a_weight_of_any_value_is_taken_of_a_type_with_many(annotation: Any) -> None:
    app = App("memory://")
    app.queue("default", fair_by="key", weights={"silver": 2})
    app.job(with_key(annotation))
    async with app, app.worker():
        pass


# -- RateLimited


@pytest.mark.parametrize(
    ("after", "seconds"), [(30, 30), (timedelta(minutes=1), 60), ("120", 120), (" 7 ", 7), (0, 0.001), ("0", 0.001)]
)
def test_how_long_to_wait_is_a_duration_or_a_header(after: Any, seconds: float) -> None:
    assert RateLimited(after=after).after_ms == seconds * 1000


def test_how_long_to_wait_may_be_a_date() -> None:
    at = datetime.now(UTC) + timedelta(seconds=90)
    assert 80_000 < RateLimited(after=at.strftime("%a, %d %b %Y %H:%M:%S GMT")).after_ms <= 90_000
    assert RateLimited(after="Fri, 27 Nov 1998 20:22:25 GMT").after_ms == 1


async def test_a_job_that_was_refused_runs_again_later_and_has_not_failed(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    @app.job(limits=[stripe, customer.by("key")])
    async def charge(key: int, how: str) -> str:
        done.append(how)
        if len(done) == 1:
            raise RateLimited(customer if how == "limit" else how, after=30)
        return "paid"

    for how in ("limit", "customer"):
        done.clear()
        with app.testing() as kit, caplog.at_level("INFO", "asyncjobs.worker"):
            await charge.delay(42, how)
            attempts = await kit.run()
        assert outcomes(attempts) == ["snoozed", "completed"]
        assert "is to run again in 30.0 s, and closes customer=42 until then" in caplog.text


async def test_a_job_that_closes_a_limit_that_is_not_its_own_has_failed(app: App) -> None:
    @app.job(limits=[stripe, customer.by("key")])
    async def charge(key: int, name: str | None) -> None:
        raise RateLimited(name, after=30)

    @app.job
    async def plain() -> None:
        raise RateLimited(after=30)

    with app.testing() as kit:
        handles = [await charge.delay(42, None), await charge.delay(42, "mail"), await plain.delay()]
        attempts = await kit.run(check=False)
        messages = [(await app.find_job(handle.id)).errors[-1].message for handle in handles]
    assert {one.outcome for one in attempts} == {"retrying", "failed"}
    assert messages == [
        "job 'charge' raised RateLimited without saying for which limit; its limits are stripe, customer",
        "job 'charge' raised RateLimited for 'mail', which is no limit of it; its limits are stripe, customer",
        "job 'plain' raised RateLimited, and has no limits",
    ]


async def test_of_a_limit_by_two_parameters_a_job_says_which_it_closes(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[Limit | str] = []

    @app.job(limits=[customer.by("payer"), customer.by(TENANT, "payee")])
    async def pay(payer: int, payee: int) -> None:
        if said:
            raise RateLimited(said.pop(), after=30)

    for limit, gate in (
        (customer.by("payer"), "customer=1"),
        (customer.by(TENANT, "payee"), "customer=null,2"),
    ):
        caplog.clear()
        said.append(limit)
        with app.testing() as kit, caplog.at_level("INFO", "asyncjobs.worker"):
            await pay.delay(1, 2)
            assert outcomes(await kit.run()) == ["snoozed", "completed"]
        assert f"and closes {gate} until then" in caplog.text
    for limit in (customer, "customer", customer.by("payee")):
        said.append(limit)
        with app.testing() as kit:
            handle = await pay.delay(1, 2)
            await kit.run(check=False)
            [error] = (await app.find_job(handle.id)).errors
        assert error.message == (
            "job 'pay' raised RateLimited for 'customer', which it has by('payer') and by(TENANT, 'payee'): expected "
            "one of them, as in RateLimited(limit.by('payer'), after=…)"
        )


@pytest.mark.parametrize("raised", [RateLimited(after=3), RateLimited(customer.by(TENANT, "payer"), after=3)])
def test_what_is_closed_is_the_same_for_a_handler_in_a_process(raised: RateLimited) -> None:
    read = unpack_steering(pack_steering(raised))
    assert isinstance(read, RateLimited)
    assert (read.limit, read.by, read.after_ms) == (raised.limit, raised.by, raised.after_ms)


def outcomes(attempts: Sequence[Attempt]) -> list[str]:
    return [one.outcome for one in attempts]
