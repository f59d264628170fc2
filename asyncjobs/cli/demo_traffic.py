"""The shop of ``asyncjobs demo --dashboard``: it goes on for as long as one looks, and not all goes well."""

from __future__ import annotations

import asyncio
import random

from asyncjobs.app import App
from asyncjobs.app.acting import acting
from asyncjobs.core.gates import TENANT, Limit
from asyncjobs.core.retry import RetryPolicy
from asyncjobs.jobs.context import current_job

__all__ = ["QUEUES", "BusyShop"]

QUEUES = ["payments", "emails", "images", "reports", "newsletter", "catalogue"]
"""The queues that the worker of the shop serves."""

_TENANTS = ("acme", "globex", "initech", None)
_BANK = Limit("bank", running=3, rate="5/s")
_CUSTOMER = Limit("customer", running=2).by(TENANT)
_QUICKLY = RetryPolicy(max_retries=2, initial=0.5)
_NEVER = RetryPolicy(max_retries=0)


async def send_mail(to: str, subject: str) -> str:
    await asyncio.sleep(random.uniform(0.05, 0.4))
    return f"sent to {to}"


def resize_image(path: str, width: int) -> str:
    if random.random() < 0.1:
        raise ConnectionError("the image store did not answer")
    return f"{path} at {width} px"


async def charge_card(order: int, amount: str) -> str:
    await asyncio.sleep(random.uniform(0.1, 0.6))
    if order % 17 == 0:
        raise PermissionError(f"the bank refuses the card of order {order}")
    if order % 23 == 0:
        raise ConnectionError(f"connection to 203.0.113.{order % 250}:443 refused")
    return f"{amount} charged"


async def build_report(day: str) -> int:
    await asyncio.sleep(random.uniform(0.3, 1.2))
    if random.random() < 0.15:
        raise ValueError(f"no figures for {day}")
    return random.randrange(1_000, 9_000)


async def import_catalogue(supplier: str, products: int) -> str:
    job = current_job()
    for done in range(0, products + 1, products // 60 or 1):
        job.progress(done, products, "products")
        if done % 10 == 0:
            job.log.info("%d products of %s are in", done, supplier)
        await asyncio.sleep(0.7)
    return f"{products} products"


async def send_newsletter(to: str, issue: int) -> None: ...


async def archive_order(order: int) -> None: ...


async def send_survey(to: str) -> None: ...


class BusyShop:
    """The jobs of a shop, defined on an app, and its customers."""

    def __init__(self, app: App) -> None:
        self._app = app
        app.queue("emails", fair_by=TENANT)
        self._send_mail = app.job(queue="emails", priority="high")(send_mail)
        self._resize_image = app.job(queue="images", retry=RetryPolicy(max_retries=5, initial=0.4))(resize_image)
        self._charge_card = app.job(queue="payments", priority="critical", retry=_QUICKLY, limits=[_BANK, _CUSTOMER])(
            charge_card
        )
        self._build_report = app.job(queue="reports", retry=_NEVER)(build_report)
        self._import_catalogue = app.job(queue="catalogue", timeout=120)(import_catalogue)
        self._send_newsletter = app.job(queue="newsletter", priority="low")(send_newsletter)
        self._archive_order = app.job(queue="archive", priority="low")(archive_order)
        self._send_survey = app.job(queue="emails", priority="low")(send_survey)

    async def open(self) -> None:
        """Leave what a shop has in the morning: schedules, a paused queue, jobs that can't run."""
        app = self._app
        with acting("ada", note="the demo"):
            await app.pause("newsletter", why="the new design is not ready")
            await app.suspend_name("send_survey", queue="emails", why="customers complain")
        await app.enqueue_many(
            [self._send_newsletter.request(f"reader{number}@example.com", 42) for number in range(480)]
        )
        await app.enqueue_many([self._archive_order.request(order) for order in range(900, 912)])
        await app.enqueue_many([self._send_survey.request(f"ada{number}@example.com") for number in range(5)])
        await app.add_schedule("report-of-the-hour", self._build_report.request("this hour"), every=20)
        await app.add_schedule(
            "mail-of-the-day", self._send_mail.request("all@example.com", "Good morning"), every=3600
        )
        await app.add_schedule("old-catalogue", self._import_catalogue.request("old", 10), every=600)
        await app.pause_schedule("old-catalogue")
        await self._import_catalogue.with_options(tenant="acme").delay("Globex", 600)

    async def trade(self) -> None:
        """Send jobs until it is cancelled."""
        order = 1_000
        while True:
            tenant = random.choice(_TENANTS)
            for _ in range(random.randrange(1, 4)):
                order += 1
                amount = f"{random.randrange(500, 90_000) / 100:.2f} EUR"
                await self._charge_card.with_options(tenant=tenant).delay(order, amount)
                await self._send_mail.with_options(tenant=tenant).delay(f"customer{order}@example.com", "Your order")
                await self._resize_image.delay(f"/srv/products/{order}.png", random.choice((64, 320, 640)))
            if order % 40 == 0:
                await self._import_catalogue.delay(random.choice(("Globex", "Initech")), 300)
            if order % 6 == 0:
                await self._build_report.schedule_in(random.randrange(5, 90), f"order {order}")
            await asyncio.sleep(random.uniform(0.2, 0.9))
