"""The jobs of the shop. Its web app and its workers share them, and all settings come from the environment."""

from __future__ import annotations

import asyncio
import logging

from asyncjobs import App, RetryPolicy

log = logging.getLogger(__name__)

app = App(prefix="shop")


@app.job(queue="payments", timeout=20, retry=RetryPolicy(max_retries=8))
async def charge(order: int, address: str) -> str:
    """Charge an order, and send its receipt."""
    await asyncio.sleep(0.05)  # the bank
    log.info("charged order %s", order)
    await send_receipt.delay(order, address)
    return f"order {order} is paid"


@app.job(queue="emails", timeout=30)
async def send_receipt(order: int, address: str) -> None:
    """Send a receipt."""
    await asyncio.sleep(0.05)  # the mail server
    log.info("sent the receipt of order %s to %s", order, address)


@app.job(queue="reports", cron="0 3 * * *", timezone="Europe/Berlin", timeout=600)
async def report_of_the_day() -> None:
    """Write the report of a day, at three in the night."""
    log.info("wrote the report of the day")
