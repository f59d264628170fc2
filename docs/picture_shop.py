"""The shop of the pictures: two days of figures, a bank that does not answer since half an hour, a paused queue.

`python -m docs.picture_shop PORT` serves its dashboard at `/admin/jobs`, as an ordinary web app would. Its figures are
the same each time.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from asyncjobs import TENANT, App, Limit, RateLimited, RetryPolicy, Worker, acting, current_job
from asyncjobs.admin import Access, dashboard
from asyncjobs.brokers.memory import MemoryBroker
from asyncjobs.core.histogram import bucket_of
from asyncjobs.ports import GaugeReading, Gauges, RunCounts

MINUTE_MS = 60_000
DAY_MS = 1_440 * MINUTE_MS
PAST_MS = 2 * DAY_MS
OUTAGE_MS = 31 * MINUTE_MS

# Completed a minute, milliseconds of a run, milliseconds of a wait, slots.
USUAL = {
    "payments": ("charge", 420, 180, 40, 100),
    "emails": ("send_email", 17, 90, 25, 100),
    "images": ("resize", 95, 900, 400, 40),
    "reports": ("build_report", 3, 12_000, 800, 20),
    "catalogue": ("import_catalogue", 1, 52_000, 1_500, 20),
}


class Clock:
    """A clock that is in the past, goes on minute by minute, and in the end follows that of the operating system."""

    def __init__(self, behind_ms: int) -> None:
        self.behind_ms = behind_ms
        self._minute_ms = _system_ms() // MINUTE_MS * MINUTE_MS
        self._stepped_ms = _system_ms()

    def step(self) -> None:
        """Let the next minute begin."""
        # The past takes some minutes, which pass too.
        late_ms = _system_ms() // MINUTE_MS * MINUTE_MS - self._minute_ms
        self._minute_ms += late_ms
        self.behind_ms += late_ms - MINUTE_MS
        self._stepped_ms = _system_ms()

    def now_ms(self) -> int:
        since_ms = _system_ms() - self._stepped_ms
        return self._minute_ms - self.behind_ms + since_ms if self.behind_ms else _system_ms()

    def monotonic(self) -> float:
        return time.monotonic() + (PAST_MS - self.behind_ms) / 1000


def _system_ms() -> int:
    return time.time_ns() // 1_000_000


class CardDeclined(Exception):
    """The bank says no."""

    __module__ = "shop.bank"


clock = Clock(PAST_MS)
app = App("memory://", broker=MemoryBroker(clock), deploy="9f3c1e7")
chance = random.Random(7)
NEVER = RetryPolicy(max_retries=0)
at_rest = asyncio.Event()
app.queue("images", fair_by=TENANT, weights={"acme": 2})


@app.job(
    queue="payments", priority="critical", retry=RetryPolicy(max_retries=2, initial=0.4, jitter=False), secret=["card"]
)
async def charge(order: int, amount: str, card: str) -> str:
    await asyncio.sleep(0.05)
    raise ConnectionError(f"connection to 203.0.113.{order % 5}:443 refused")


@app.job(queue="payments", retry=NEVER)
async def authorize_card(order: int) -> None:
    raise ConnectionError(f"connection to 203.0.113.{order % 5}:443 refused")


@app.job(queue="payments", retry=NEVER)
async def refund(order: int) -> None:
    raise CardDeclined(f"the card of order {order} was declined")


@app.job(queue="emails")
async def send_email(to: str, subject: str) -> None: ...


@app.job(queue="images")
async def resize(path: str, width: int) -> None:
    await asyncio.sleep(3_600)


@app.job(queue="reports", name="reports.build_the_quarterly_report_of_a_department_with_a_very_long_name")
async def build_report(day: str) -> None: ...


@app.job(queue="catalogue", timeout=7_200)
async def import_catalogue(supplier: str, products: int) -> None:
    job = current_job()
    for done in range(0, 12_400, 1_550):
        job.progress(done, products, f"products of {supplier}")
        job.log.info("page %d: %d products are in", done // 1_550 + 1, done)
    await at_rest.wait()


DEEPL = Limit("deepl", running=14, rate="50/s")
TAX_OFFICE = Limit("tax-office", rate="5/s")


@app.job(queue="catalogue", limits=[DEEPL, Limit("supplier", running=3).by("supplier")])
async def translate(supplier: str, product: int) -> None:
    await asyncio.sleep(3_600)


@app.job(queue="catalogue", limits=TAX_OFFICE)
async def look_up_tax_rate(country: str) -> None:
    raise RateLimited(TAX_OFFICE, after=840)


@app.job(queue="catalogue")
async def tidy_up(number: int) -> None:
    await asyncio.sleep(0.002 * (1 + number % 9))


class Story:
    """Minutes with the figures that workers and jobs would have left in them."""

    def __init__(self) -> None:
        self._arrived = dict.fromkeys(USUAL, 0)
        self._backlog = dict.fromkeys(USUAL, 0)

    async def live_through_two_days(self) -> None:
        """Let the minutes up to now pass."""
        while clock.behind_ms > 0:
            await self._minute()
            await die(clock.behind_ms)
            await run_for_tenants(clock.behind_ms)
            clock.step()

    async def go_on(self) -> None:
        """Let minutes pass as they do, until it is cancelled."""
        while True:
            await self._minute()
            await asyncio.sleep(61 - time.time() % 60)

    async def _minute(self) -> None:
        broker = app._connection.broker
        await broker.begin_gauges(list(USUAL))
        counts, readings = {}, []
        by_day = 1 + 0.45 * math.sin((PAST_MS - clock.behind_ms) / DAY_MS * 2 * math.pi)
        for queue in USUAL:
            ended, gauges = self._queue(queue, by_day)
            if ended is not None:
                counts[queue] = [ended]
            readings.append(GaugeReading(queue, gauges, self._arrived[queue]))
        await broker.count_runs(counts)
        await broker.keep_gauges(readings)

    def _queue(self, queue: str, by_day: float) -> tuple[RunCounts | None, Gauges]:
        """Return what ran in a minute, and the gauges at its end."""
        name, usual, run_ms, wait_ms, slots = USUAL[queue]
        is_outage = queue == "payments" and clock.behind_ms <= OUTAGE_MS
        came = max(0, round(usual * by_day * chance.uniform(0.85, 1.15)))
        ended = 0 if queue == "emails" else came
        if queue == "images" and clock.behind_ms < 90 * MINUTE_MS:
            ended = round(came * 0.6)
        failed = min(ended, round(ended * 0.15) if is_outage else int(chance.random() < usual / 9_000))
        self._arrived[queue] += came
        self._backlog[queue] += came - ended
        if queue == "emails":
            self._backlog[queue] = round((1 - clock.behind_ms / PAST_MS) * 48_201)
        slow = 12.0 if is_outage else 1 + self._backlog[queue] / 900
        gauges = Gauges(
            normal=self._backlog[queue], running=min(slots, 1 + round(slots * 0.6 * by_day)), slots=slots, workers=2,
            oldest_wait_ms=round(wait_ms * slow) if self._backlog[queue] else 0,
        )  # fmt: skip
        if not ended:
            return None, gauges
        settle(queue, ended - failed, 2 * failed, run_ms)
        runs, waits = (
            {bucket_of(round(ms * 1_000 * scale * chance.uniform(0.5, 2))): ended // 8 + 1 for _ in range(8)}
            for ms, scale in ((run_ms, 3.0 if is_outage else 1.0), (wait_ms, slow))
        )
        counted = RunCounts(
            name=name, succeeded=ended - failed, failed=failed, retried=2 * failed, run_us=ended * run_ms * 1_000,
            runs=runs, waits=waits,
        )  # fmt: skip
        return counted, gauges


def settle(queue: str, succeeded: int, retried: int, run_ms: int) -> None:
    """Count jobs as if they had run; to run a million would take minutes."""
    ledger = app._connection.broker._queue(queue).ledger
    ledger.enter([], clock.now_ms())
    ledger.total.counts["succeeded"] += succeeded
    ledger.total.counts["retried"] += retried
    ledger.total.counts["duration_us"] += succeeded * run_ms * 1_000
    for _ in range(4):
        ledger.total.histogram[bucket_of(round(run_ms * 1_000 * chance.uniform(0.5, 2)))] += succeeded // 4


async def run_for_tenants(behind_ms: int) -> None:
    """Let jobs of tenants run, before the last hours."""
    if behind_ms != 180 * MINUTE_MS:
        return
    for tenant, jobs in (("acme", 240), ("globex", 120), ("initech", 31)):
        await app.enqueue_many([tidy_up.with_options(tenant=tenant).request(number) for number in range(jobs)])
    await Worker(app, queues=["catalogue"], concurrency=100).run_until_empty()


async def die(behind_ms: int) -> None:
    """Let jobs die at this time, as many as the story has."""
    if behind_ms % (240 * MINUTE_MS) == 0 and behind_ms:
        await app.enqueue_many([refund.request(7_000 + chance.randrange(900)) for _ in range(6)])
    elif 0 < behind_ms <= OUTAGE_MS:
        await app.enqueue_many([authorize_card.request(9_000 + chance.randrange(900)) for _ in range(66)])
    else:
        return
    await Worker(app, queues=["payments"]).run_until_empty()


async def open_shop() -> None:
    """Leave what stands still, and what runs."""
    await app.enqueue_many(
        [send_email.request(f"user{number}@example.com", "Your order is on its way") for number in range(48_201)]
    )
    for number in range(1_400):
        tenant = ("acme", "globex", "initech", None)[number % 4]
        await resize.with_options(tenant=tenant).delay(f"/srv/products/{number}.png", 640)
    for day in ("2026-11-24", "2026-11-25", "2026-11-26"):
        await build_report.delay(day)
    await build_report.schedule_in(7_200, "2026-11-27")
    await app.add_schedule("nightly-report", build_report.request("today"), cron="30 3 * * *", timezone="Europe/Berlin")
    await app.add_schedule("thumbnails", resize.request("*", 64), every=7_200)
    await app.add_schedule("catalogue-of-globex", import_catalogue.request("Globex", 20_000), every=86_400)
    await charge.with_options(tenant="acme", metadata={"trace": "4bf92f3577b34da6"}).delay(
        1007, "129.00 EUR", "4111 1111 1111 1111"
    )
    await app.suspend_tenant("umbrella", queue="images", why="unpaid")
    await import_catalogue.with_options(tenant="globex").delay("Globex", 20_000)
    await app.enqueue_many(
        [
            translate.request(supplier, product)
            for supplier, products in {"Globex": 117, "Initech": 40, "Hooli": 3, "Umbrella": 2}.items()
            for product in range(products)
        ]
    )
    await app.enqueue_many([look_up_tax_rate.request(country) for country in ("AT", "DE", "FR", "IT")])
    with acting("ada@shop.example", "dashboard"):
        await app.set_limit("catalogue", "supplier", "Globex", running=5)
        await app.suspend_name("send_survey", queue="emails", why="customers complain")
        await app.pause_schedule("thumbnails")


@asynccontextmanager
async def lifespan(web: Starlette) -> AsyncIterator[None]:
    async with app:
        with acting("bob@shop.example", "dashboard"):
            await app.pause("emails", why="smtp migration")
        await app._connection.broker.note_deploy("9f3c1e7", _system_ms() - 35 * MINUTE_MS)
        story = Story()
        await story.live_through_two_days()
        async with (
            Worker(app, queues=["payments", "catalogue"], concurrency=20).running(),
            Worker(app, queues=["images"], concurrency=8).running(),
        ):
            going_on = asyncio.ensure_future(story.go_on())
            await open_shop()
            while (await app.queue_stats("payments")).size:
                await asyncio.sleep(0.05)
            # All that was sent at once has kept the workers' loop busy, which they tell for a while.
            ends_at = time.monotonic() + 20
            while time.monotonic() < ends_at and any(one.lag_ms >= 1_000 for one in (await app.stats()).workers):
                await asyncio.sleep(0.5)
            yield
            going_on.cancel()


def who(request: Request) -> Access:
    return Access("ada@shop.example", "admin")


web = Starlette(
    lifespan=lifespan,
    routes=[Mount("/admin/jobs", dashboard(app, authorize=who, title="shop", environment="production"))],
)

if __name__ == "__main__":
    logging.getLogger("asyncjobs").setLevel(logging.CRITICAL)
    uvicorn.run(web, port=int(sys.argv[1]), log_level="critical")
