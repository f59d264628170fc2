"""Schedules in the code and at run time, for three seconds: `python examples/schedules.py`.

It needs no server, but for cron `pip install "asyncjobs-redis[cron]"`.
"""

from __future__ import annotations

import asyncio

from asyncjobs import App, current_job

app = App("memory://", scheduler_interval=1)


@app.job(cron="* * * * * *")  # six fields: every second
async def heartbeat() -> None:
    print(f"heartbeat for {current_job().tick:%H:%M:%S}")


@app.job(every=2)
async def refresh_rates(currency: str = "EUR") -> None:
    print(f"rates of {currency} refreshed")


@app.job(cron="0 8 * * mon-fri", timezone="Europe/Berlin")
async def send_digest() -> None: ...


@app.job
async def report(customer: str) -> str:
    return f"the report of {customer}, by {current_job().schedule}"


async def main() -> None:
    async with app, app.worker():
        await app.add_schedule("report-acme", report.request("acme"), cron="0 6 1 * *", timezone="America/New_York")
        for info in await app.schedules():
            print(f"{info.id}: {info.cron or info.every}, next at {info.upcoming(1)[0]}")

        # One now, without waiting for the first of the month.
        handle = await app.trigger_schedule("report-acme")
        print(await handle.result(timeout=10))

        await asyncio.sleep(3)
        await app.pause_schedule("heartbeat")
        await app.remove_schedule("report-acme")
        print("left:", ", ".join(info.id for info in await app.schedules() if not info.paused))


if __name__ == "__main__":
    asyncio.run(main())
