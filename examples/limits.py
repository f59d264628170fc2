"""Limits and fair turns: a few calls of a provider at once, one job a customer, and no customer waits for another."""

from __future__ import annotations

import asyncio
from collections import Counter

from asyncjobs import App, Limit, RateLimited, Worker

app = App("memory://")
app.queue("imports", fair_by="customer_id")

provider = Limit("provider", running=4)
customer = Limit("customer", running=1)

running: Counter[str] = Counter()
most: Counter[str] = Counter()
imported: list[int] = []
refused: list[int] = []


@app.job(limits=[provider, customer.by("customer_id")])
async def charge(customer_id: int, cents: int) -> int:
    for name in ("provider", f"customer {customer_id}"):
        running[name] += 1
        most[name] = max(most[name], running[name])
    await asyncio.sleep(0.01)
    for name in ("provider", f"customer {customer_id}"):
        running[name] -= 1
    return cents


@app.job(queue="imports")
async def import_product(customer_id: int, sku: int) -> None:
    imported.append(customer_id)


@app.job(limits=provider)
async def check(number: int) -> str:
    if not refused:
        refused.append(number)
        raise RateLimited(provider, after="1")
    return f"number {number} is right"


async def main() -> None:
    async with app:
        charges = await app.enqueue_many([charge.request(number % 10, 100) for number in range(60)])
        await app.enqueue_many([import_product.request(1, sku) for sku in range(1_000)])
        last = await import_product.delay(2, 7)
        async with Worker(app, queues=["default", "imports"], concurrency=20).running():
            total = sum([await handle.result(timeout=30) for handle in charges])
            await last.result(timeout=30)
            print(f"{total} cents, {most['provider']} at once, {most['customer 3']} of customer 3")
            print(f"customer 2 waited for {imported.index(2)} of 1,000 products of customer 1")

            handle = await check.delay(5)
            print(await handle.result(timeout=30))
            print(f"refused {len(refused)} time, and not failed")


if __name__ == "__main__":
    asyncio.run(main())
