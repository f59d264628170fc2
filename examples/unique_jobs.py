"""Jobs that are there once at a time: a sync that is asked for again and again, and an index that waits for calm."""

from __future__ import annotations

import asyncio

from asyncjobs import AlreadySent, App, Debounce, Unique

app = App("memory://")


@app.job(unique=Unique(by="user_id"))
async def sync(user_id: int) -> str:
    return f"user {user_id} is in sync"


@app.job(unique=Unique(by="month", within=3600, on_conflict="raise"))
async def bill(month: str) -> str:
    return f"{month} is billed"


@app.job(debounce=Debounce(0.2, by="document_id", at_most=5))
async def index(document_id: int, text: str) -> str:
    return f"document {document_id} says {text!r}"


async def main() -> None:
    async with app:
        handles = [await sync.delay(7) for _ in range(5)]
        print(f"5 calls, {sum(handle.is_new for handle in handles)} job")

        await bill.delay("2026-11")
        try:
            await bill.delay("2026-11")
        except AlreadySent as refused:
            print(f"billed already, by the job {refused.job_id}")

        for text in ("H", "He", "Hello"):
            edited = await index.delay(42, text)
        async with app.worker():
            print(await handles[-1].result(timeout=10))
            print(await edited.result(timeout=10))


if __name__ == "__main__":
    asyncio.run(main())
