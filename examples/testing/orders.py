"""The program under test: a shop that sends jobs. It is the app of production, on a server that no test needs."""

from __future__ import annotations

import logging
from datetime import timedelta

from asyncjobs import App, Inject, RetryPolicy, current_job

__all__ = ["Bank", "app", "charge", "charged", "confirm", "invoice", "mailbox", "nightly", "place_order"]

app = App("redis://localhost:6379/0")

# Stand for the world outside.
mailbox: list[str] = []
charged: dict[int, int] = {}


class Bank:
    """Stands for the client of a bank."""

    async def charge(self, order: int) -> None:
        """Take the money for ``order``."""
        raise ConnectionError("there is no bank in a test")


@app.job(queue="mail")
async def confirm(address: str, order: int, *, language: str = "en") -> str:
    mailbox.append(f"{address}: {order}")
    return f"confirmed {order}"


@app.job(retry=RetryPolicy(max_retries=3, initial=10, jitter=False))
async def charge(order: int, bank: Bank = Inject(Bank)) -> None:
    await bank.charge(order)
    charged[order] = charged.get(order, 0) + 1


@app.job
def invoice(order: int) -> str:
    """A plain function, which runs in a thread."""
    logging.getLogger("orders").info("invoice %d at attempt %d", order, current_job().attempt)
    return f"invoice {order}"


@app.job(cron="0 3 * * *", timezone="UTC")
async def nightly() -> None:
    mailbox.append("nightly report")


async def place_order(address: str, order: int) -> None:
    """Take an order: what a request of the shop would do."""
    await confirm.delay(address, order)
    await invoice.with_options(metadata={"address": address}).delay(order)
    await charge.schedule_in(timedelta(days=14), order)
