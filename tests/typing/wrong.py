"""Calls that are wrong: each marked line must be complained of, and no other."""

from __future__ import annotations

from datetime import datetime

from asyncjobs import App, Debounce, JobHandle, Limit, RateLimited, RetryPolicy, Unique, job
from asyncjobs.testing import Kit

app = App("memory://")


@app.job
async def plain(to: str, count: int = 1) -> str:
    return to * count


@job(queue="images")
def thumbnail(path: str, *, size: int) -> bytes:
    return path.encode() * size


async def main(when: datetime) -> None:
    await plain.delay(1)  # wrong
    await plain.delay("a", cuont=2)  # wrong
    await plain.delay()  # wrong
    await plain.delay("a", 2, 3)  # wrong
    await thumbnail.delay("a")  # wrong
    await thumbnail.delay("a", size="big")  # wrong
    await plain.schedule_at("tomorrow", "a")  # wrong
    await plain.schedule_in(5)  # wrong
    await plain.schedule_at(when, 1)  # wrong
    await plain.with_options(priority="urgent").delay("a")  # wrong
    await plain.with_options(priority="low").delay(1)  # wrong
    await plain.with_options(prioritty="low").delay("a")  # wrong
    await plain.with_options(cron="@daily").delay("a")  # wrong
    await plain.with_options(app=plain).delay("a")  # wrong
    plain.request("a").with_options(timeout="soon")  # wrong
    await app.enqueue_many([plain.request(1)])  # wrong
    await app.enqueue_many([plain.request("a"), thumbnail.request("a")])  # wrong
    await app.enqueue_many([plain.request("a"), thumbnail])  # wrong
    await app.enqueue_many([plain.delay("a")])  # wrong
    await app.enqueue_many(plain.request("a"))  # wrong
    handles: list[JobHandle[int]] = await app.enqueue_many([plain.request("a")])  # wrong
    app.sync.enqueue_many([plain.request("a"), "b"])  # wrong
    await app.enqueue_for_tenant("acme", plain)  # wrong
    number: int = await (await plain.delay("a")).result()  # wrong
    number = await plain.handle("a").result()  # wrong
    number = app.sync.result(plain.handle("a"))  # wrong
    plain.handle(1)  # wrong
    plain.handle()  # wrong
    plain.with_options(queue="other").handle("a", queue="other")  # wrong
    handle = plain.delay("a")
    await handle.result()  # wrong
    plain.delay_sync(1)  # wrong
    await plain(1)  # wrong
    thumbnail("a", size="big")  # wrong
    print(number, handles)


@app.job(prioritty="high")  # wrong
async def misspelt() -> None: ...


@job(job_id="one")  # wrong
async def not_for_a_definition() -> None: ...


@app.job(aliases="earlier")  # wrong
async def renamed() -> None: ...


@app.job(retry=5)  # wrong
async def wrong_policy() -> None: ...


app.job(timeout="soon")  # wrong
app.job(unique="user_id")  # wrong
app.job(debounce=5)  # wrong
Unique("user_id")  # wrong
Unique(until="ended")  # wrong
Debounce(by="user_id")  # wrong
Limit("mail", running="3")  # wrong
Limit(rate=50)  # wrong
Limit("mail", running=3).by(3)  # wrong
RateLimited("mail")  # wrong
app.queue("mail", fair_by=3)  # wrong
app.queue("mail", fair_by="plan", fair="luck")  # wrong
app.queue("mail", fair_by="plan", weights=["gold"])  # wrong
RetryPolicy(max_retries="5")  # wrong
App("memory://", lese=5)  # wrong
App("memory://", lease="soon")  # wrong
App("memory://", queues=5)  # wrong


def tests_of_users(kit: Kit) -> None:
    kit.sent(plain, 1)  # wrong
    kit.assert_sent(plain, "a", subject="b")  # wrong
    kit.assert_not_sent(plain, 1)  # wrong
    kit.kill_worker("plain")  # wrong
    kit.run_sync(checked=False)  # wrong
    app.testing(egaer=True)  # wrong
