"""The small shop of ``asyncjobs demo``, with jobs as an ordinary web application has them."""

from __future__ import annotations

import asyncio
import random

from asyncjobs.app import App
from asyncjobs.core.retry import RetryPolicy
from asyncjobs.jobs.context import current_job
from asyncjobs.jobs.handle import JobHandle

__all__ = ["Shop"]


class Shop:
    """The jobs of a shop, defined on an app, and the orders of a morning."""

    def __init__(self, app: App) -> None:
        @app.job(queue="emails", priority="high")
        async def send_welcome_mail(to: str) -> str:
            await asyncio.sleep(random.uniform(0.1, 0.4))
            return f"sent to {to}"

        @app.job(queue="images", retry=RetryPolicy(max_retries=5, initial=0.4))
        def resize_image(path: str, width: int) -> str:
            # A plain function, so it runs in a thread. The store fails twice, and then it answers.
            if current_job().attempt <= 2:
                raise ConnectionError("the image store did not answer")
            return f"{path} at {width} px"

        @app.job(queue="reports")
        async def build_daily_report(day: str) -> str:
            await asyncio.sleep(0.5)
            return f"report of {day}"

        @app.job(queue="exports", priority="low")
        async def export_orders(page: int) -> int:
            await asyncio.sleep(random.uniform(0.05, 0.3))
            return 100 * page

        @app.job(queue="payments", priority="critical", retry=RetryPolicy(max_retries=2, initial=0.5))
        async def charge_card(order: int) -> None:
            raise PermissionError(f"the bank refuses the card of order {order}")

        self._app = app
        self._send_welcome_mail = send_welcome_mail
        self._resize_image = resize_image
        self._build_daily_report = build_daily_report
        self._export_orders = export_orders
        self._charge_card = charge_card

    async def take_orders(self) -> list[tuple[str, JobHandle[object]]]:
        """Send the jobs; return what to call each, and its handle."""
        addresses = ("ada@example.com", "grace@example.com", "alan@example.com")
        sent: list[tuple[str, JobHandle[object]]] = [
            (f"send_welcome_mail({to!r})", await self._send_welcome_mail.delay(to)) for to in addresses
        ]
        sent.append(("resize_image('cat.png', 640)", await self._resize_image.delay("cat.png", 640)))
        sent.append(("charge_card(1007)", await self._charge_card.delay(1007)))
        sent.append(("build_daily_report('today')", await self._build_daily_report.schedule_in(3, "today")))
        pages = await self._app.enqueue_many([self._export_orders.request(page) for page in range(1, 6)])
        sent += [(f"export_orders({page})", handle) for page, handle in enumerate(pages, 1)]
        return sent
