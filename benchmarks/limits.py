"""`python -m benchmarks.limits`: whether limits, turns and unique jobs keep what they promise, on real workers.

Each part is a run of worker processes on a server of its own. The figures are made of what the handlers note on the
server, by its clock, beside the moment of the claim. The exit code is 1 if one of them is out of its bound.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import logging
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import ForkServerProcess
from typing import Literal, NamedTuple

import redis.asyncio

from asyncjobs import TENANT, App, JobHandle, JobState, Limit, Rate, Unique, Worker, current_job, tenant_scope
from asyncjobs.brokers.redis.keys import QueueKeys
from tests.servers import Server, server
from tests.waiting import until

RATE = Rate(50, burst=5)
KEYS, SLOTS, LEASE_S, JOB_S = 100, 3, 5.0, 1.0
#: A recovered job starts a lease and a second after the death of its worker, at the latest.
RECOVERED_S = LEASE_S + 1.0
#: The jobs of a rate that a millisecond makes: claims are noted in whole ones.
ROUNDING = RATE.starts / 1000
BACKLOG = 100_000
MEASURED_S = 20.0

_NOTE = """
local now, claimed = redis.call('TIME'), string.match(redis.call('HGET', KEYS[2], ARGV[1]) or '', '^%d+ (%d+) ')
redis.call('RPUSH', KEYS[1], now[1] .. string.format('%06d', now[2]) .. ' ' .. (claimed or 0) .. ' ' .. ARGV[2])
"""


#: Starts a worker in a moment, since its modules are there.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["asyncjobs", "redis.asyncio", "tests.servers"])

Kind = Literal["began", "ended"]


class Note(NamedTuple):
    """A handler has begun or ended, at a time of the server's clock, in seconds."""

    at: float
    claimed: float
    pid: int
    key: str


class Figure(NamedTuple):
    """A line of the table."""

    what: str
    found: str
    bound: str = ""
    holds: bool = True


class Notes:
    """What the handlers have noted of a queue."""

    def __init__(self, port: int) -> None:
        pool = redis.asyncio.BlockingConnectionPool(port=port, max_connections=20, timeout=60)
        self.client = redis.asyncio.Redis.from_pool(pool)
        self._script = self.client.register_script(_NOTE)

    async def add(self, kind: Kind, key: object) -> None:
        job = current_job()
        await self._script([kind, QueueKeys("asyncjobs", job.queue).fences], [job.id, f"{os.getpid()} {key}"])

    async def count(self) -> int:
        return int(await self.client.llen("began"))

    async def read(self, kind: Kind = "began") -> list[Note]:
        rows = [bytes(row).decode().split(" ", 3) for row in await self.client.lrange(kind, 0, -1)]  # type: ignore[arg-type]
        return [Note(int(at) / 1e6, int(claimed) / 1e3, int(pid), key) for at, claimed, pid, key in rows]

    async def now(self) -> float:
        seconds, micros = await self.client.time()
        return float(seconds + micros / 1e6)


def make_app(port: int) -> App:
    """Return an app with the jobs of all parts, each in a queue of its own."""
    app = App(f"redis://127.0.0.1:{port}/0", lease=LEASE_S, max_deaths=100)
    notes = Notes(port)

    async def run(key: object, seconds: float = 0.0) -> None:
        await notes.add("began", key)
        if seconds:
            try:
                await asyncio.sleep(seconds)
            finally:
                await notes.add("ended", key)

    app.queue("fair", fair_by=TENANT)
    app.queue("weights", fair_by="plan", weights={"gold": 3})
    app.queue("tenants", fair_by=TENANT)

    @app.job(queue="rate", limits=Limit("mail", rate=RATE))
    async def mail() -> None:
        # As long that one worker of two slots can't run them all.
        await run("mail", 0.1)

    @app.job(queue="killed", limits=Limit("key", running=SLOTS).by("key"))
    async def keyed(key: int) -> None:
        await run(key, JOB_S)

    @app.job(queue="fair")
    async def in_turn(seconds: float, is_noted: bool) -> None:
        await (run("turn") if is_noted else asyncio.sleep(seconds))

    app.job(queue="plain", name="behind")(in_turn.function)

    @app.job(queue="weights")
    async def weighted(plan: str) -> None:
        await run(plan)

    @app.job(queue="tenants")
    async def twice() -> None:
        await run(current_job().tenant)

    @app.job(
        queue="together", limits=[Limit("all", running=20, rate=RATE), Limit("customer", running=3).by("customer")]
    )
    async def charge(customer: int, seconds: float) -> None:
        await run(customer, seconds)

    @app.job(queue="unique", unique=Unique(by="key"))
    async def once(key: str, seconds: float) -> None:
        await run(key, seconds)

    return app


class Stage:
    """A server, an app, and worker processes of one queue."""

    def __init__(self, running: Server, queue: str) -> None:
        self.app = make_app(running.port)
        self.notes = Notes(running.port)
        self.queue = queue
        self.port = running.port
        self.workers: list[ForkServerProcess] = []

    async def start(self, count: int, concurrency: int) -> None:
        """Start workers, and wait until they are there."""
        for _ in range(count):
            self.replace(concurrency)

        async def are_there() -> bool:
            return len((await self.app.stats()).workers) >= count

        await until(are_there, f"{count} workers are there", within=120.0)

    def replace(self, concurrency: int) -> None:
        """Start a worker, without a wait."""
        worker = PROCESSES.Process(target=work, args=(self.port, self.queue, concurrency), daemon=True)
        worker.start()
        self.workers.append(worker)

    async def kill(self, which: int = 0) -> tuple[int, float]:
        """Kill a worker; returns its process id, and when that was."""
        worker = self.workers.pop(which)
        worker.kill()
        worker.join()
        return worker.pid or 0, await self.notes.now()

    async def noted(self, count: int, within: float = 120.0) -> list[Note]:
        """Wait until there are ``count`` notes, and return them."""

        async def are_there() -> bool:
            return await self.notes.count() >= count

        await until(are_there, f"{count} notes", within=within)
        return await self.notes.read()

    async def empty(self, within: float = 120.0) -> None:
        """Wait until no job of the queue waits or runs."""

        async def is_empty() -> bool:
            figures = await self.app.queue_stats(self.queue)
            return bool(figures.size + figures.running == 0)

        await until(is_empty, "the queue is empty", within=within)


@contextlib.asynccontextmanager
async def staged(queue: str) -> AsyncIterator[Stage]:
    """Yield a stage; ends its processes."""
    with server() as running:
        stage = Stage(running, queue)
        try:
            async with stage.app:
                yield stage
        finally:
            for worker in stage.workers:
                worker.kill()
                worker.join()
            await stage.notes.client.aclose()


def beyond_rate(moments: Sequence[float], rate: Rate = RATE) -> float:
    """Return by how many jobs the fullest of all windows is above ``burst + rate · t``; 0 or less is within it."""
    # From start i to start j there are j - i + 1 jobs. One pass finds the worst pair, since i and j count separately.
    pace, earliest, worst = rate.starts / rate.per_ms * 1000, float("-inf"), float("-inf")
    for number, at in enumerate(sorted(moments)):
        earliest = max(earliest, pace * at - number)
        worst = max(worst, number + 1 - pace * at + earliest)
    return worst - rate.burst


async def part_rate() -> list[Figure]:
    """50 a second for 20 s, by four workers."""
    async with staged("rate") as stage:
        await stage.start(4, 2)
        mail = stage.app.registry.get("mail")
        count = int(RATE.starts * (MEASURED_S + 2))
        await stage.app.enqueue_many([mail.request() for _ in range(count)])
        starts = await stage.noted(count)
    began = starts[0].at
    in_time = sum(note.at < began + MEASURED_S for note in starts)
    wanted = RATE.burst + RATE.starts * MEASURED_S
    beyond = beyond_rate([note.claimed for note in starts])
    noted = beyond_rate([note.at for note in starts])
    is_even = abs(in_time / wanted - 1) <= 0.05
    processes = len({note.pid for note in starts})
    return [
        Figure(f"starts in {MEASURED_S:g} s, {processes} workers", f"{in_time} of {wanted:g}", "± 5 %", is_even),
        Figure("fullest window above burst + rate·t, by claims", f"{beyond:+.2f} jobs", "0", beyond <= ROUNDING),
        Figure("the same by the handlers' own starts", f"{noted:+.2f} jobs"),
    ]


def of_key(notes: Iterable[Note], key: str) -> list[float]:
    """Return when the jobs of a key have begun, or ended."""
    return sorted(note.at for note in notes if note.key == key)


def most_at_once(began: Iterable[float], ended: Iterable[float]) -> int:
    """Return how many jobs ran at once; at the same moment, ends come first."""
    changes = sorted([*((at, 1) for at in began), *((at, -1) for at in ended)])
    return max(itertools.accumulate(change for _, change in changes))


async def part_killed() -> list[Figure]:
    """3 a key over 100 keys, while a worker is killed each second."""
    jobs, concurrency = int(MEASURED_S * SLOTS / JOB_S), 200
    killed: dict[int, float] = {}
    async with staged("killed") as stage:
        keyed = stage.app.registry.get("keyed")
        await stage.start(6, concurrency)
        await stage.app.enqueue_many([keyed.request(key) for _ in range(jobs) for key in range(KEYS)])
        for _ in range(int(MEASURED_S)):
            await asyncio.sleep(1.0)
            have_run = {note.pid for note in await stage.notes.read()}
            # Two of them stay: how long new ones take to start is not what is measured.
            if running := [
                number for number, worker in enumerate(stage.workers) if number > 1 and worker.pid in have_run
            ]:
                pid, at = await stage.kill(running[0])
                killed[pid] = at
                stage.replace(concurrency)
        await stage.empty()
        began, ended = await stage.notes.read(), await stage.notes.read("ended")
    finished = len(ended)
    # What a worker ran when it was killed has ended with it.
    cut_off = Counter((note.pid, note.key) for note in began)
    cut_off.subtract((note.pid, note.key) for note in ended)
    ended += [Note(killed[pid], 0.0, pid, key) for pid, key in cut_off.elements()]
    most, free_s = 0, 0.0
    for key in map(str, range(KEYS)):
        starts, ends = of_key(began, key), of_key(ended, key)
        most = max(most, most_at_once(starts, ends))
        # The place that the first end frees is taken by the fourth claim, and so on.
        claims = sorted(note.claimed for note in began if note.key == key)
        free_s = max(free_s, *(claim - end for claim, end in zip(claims[SLOTS:], ends, strict=False)))
    count, lost = jobs * KEYS, cut_off.total()
    return [
        Figure("most jobs of a key at once", f"{most}", f"{SLOTS}", most == SLOTS),
        Figure(
            f"jobs that ended; {len(killed)} workers killed, with {lost} jobs",
            f"{finished:,}",
            f"{count:,}",
            finished >= count,
        ),
        Figure(
            "longest time that a place was free while jobs waited",
            f"{free_s:.2f} s",
            f"{RECOVERED_S:g} s",
            free_s <= RECOVERED_S,
        ),
    ]


async def behind_backlog(queue: str, name: str, sends: int) -> list[float]:
    """Return how long single jobs of tenant B take to start behind the backlog of A, in ms."""
    async with staged(queue) as stage:
        job = stage.app.registry.get(name)
        with tenant_scope("a"):
            await stage.app.enqueue_many([job.request(0.01, False) for _ in range(BACKLOG)])
        await stage.start(2, 10)
        took = []
        for number in range(sends):
            sent = await stage.notes.now()
            await stage.app.enqueue_for_tenant("b", job.request(0.0, True))
            notes = await stage.noted(number + 1, within=600.0)
            took.append((notes[-1].at - sent) * 1000)
        assert (await stage.app.queue_stats(queue)).size or sends == 1, "the backlog has ended too early"
    return sorted(took)


async def part_fair() -> list[Figure]:
    """A job of B behind 100,000 of A, which take 10 ms each."""
    in_turn = await behind_backlog("fair", "in_turn", 50)
    [behind] = await behind_backlog("plain", "behind", 1)
    p50, longest, bound = in_turn[len(in_turn) // 2], in_turn[-1], 10 + 100
    found = f"{p50:.0f}, {longest:.0f} ms"
    return [
        Figure(f"B by turns, {len(in_turn)} sends: p50, longest", found, f"{bound} ms", longest <= bound),
        Figure("B without turns", f"{behind:,.0f} ms"),
    ]


async def part_weights() -> list[Figure]:
    """Two groups of weights 3 and 1; then 10,000 tenants with two jobs each."""
    count = 6_000
    async with staged("weights") as stage:
        weighted = stage.app.registry.get("weighted")
        for plan in ("plain", "gold"):
            await stage.app.enqueue_many([weighted.request(plan) for _ in range(count)])
        await stage.start(2, 10)
        # As long as both have jobs.
        notes = (await stage.noted(2 * count))[:count]
    share = sum(note.key == "gold" for note in notes) / count
    figures = [Figure("starts of weight 3 beside weight 1", f"{share:.2%}", "75 % ± 2 %", abs(share - 0.75) <= 0.02)]
    tenants = 10_000
    async with staged("tenants") as stage:
        twice = stage.app.registry.get("twice")
        requests = (twice.with_options(tenant=f"t{number}").request() for number in range(tenants) for _ in range(2))
        await stage.app.enqueue_many(requests)
        began = await stage.notes.now()
        await stage.start(2, 10)
        notes = await stage.noted(2 * tenants)
    notes.sort(key=lambda note: note.claimed)
    second = min({note.key: note.claimed for note in notes}.values())
    firsts = {note.key: note.claimed for note in reversed(notes)}
    late, name = sum(at > second for at in firsts.values()), f"{tenants:,} tenants"
    took = max(note.at for note in notes) - began
    figures.append(Figure(f"{name}: first jobs claimed after a second one", f"{late}", "0", late == 0))
    figures.append(Figure(f"{name}: both jobs, with the start of the workers", f"{took:.1f} s"))
    return figures


async def together(seconds: float) -> list[Figure]:
    """20 in all, 3 a customer, 50 a second, of 1,000 customers, by jobs of ``seconds``."""
    async with staged("together") as stage:
        charge = stage.app.registry.get("charge")
        # The first customer has more urgent jobs than its three places can take.
        urgent = charge.with_options(priority="high")
        await stage.app.enqueue_many([urgent.request(0, seconds) for _ in range(500)])
        await stage.app.enqueue_many([charge.request(number, seconds) for number in range(1_000) for _ in range(2)])
        await stage.start(4, 20)
        await stage.noted(1)
        await asyncio.sleep(MEASURED_S + seconds)
        starts, ends = await stage.notes.read(), await stage.notes.read("ended")
    limit = min(RATE.starts, 20 / seconds)
    found = sum(note.at < starts[0].at + MEASURED_S for note in starts) / MEASURED_S
    most = most_at_once([note.at for note in starts], [note.at for note in ends])
    keys = {note.key for note in starts}
    of_customer = max(most_at_once(of_key(starts, key), of_key(ends, key)) for key in keys)
    beyond = beyond_rate([note.claimed for note in starts])
    rate, are_kept = found / limit, most <= 20 and of_customer == 3
    name = f"{seconds:g} s a job"
    return [
        Figure(f"{name}: starts a second, {limit:g} in theory", f"{found:.1f}, {rate:.0%}", "95 %", rate >= 0.95),
        Figure(f"{name}: at once, at once of a customer", f"{most}, {of_customer}", "20, 3", are_kept),
        Figure(f"{name}: fullest window above burst + rate·t", f"{beyond:+.2f} jobs", "0", beyond <= ROUNDING),
    ]


async def part_together() -> list[Figure]:
    """Three limits at once: once the rate is what holds jobs back, once the places."""
    return [*await together(0.2), *await together(0.5)]


def sends_at_once(port: int, count: int) -> int:
    """Be a sender: return of how many concurrent sends a new job was made."""

    async def send() -> int:
        async with (app := make_app(port)):
            once = app.registry.get("once")
            handles = await asyncio.gather(*(once.delay("same", 0.1) for _ in range(count)))
        return sum(handle.is_new for handle in handles)

    return asyncio.run(send())


async def part_unique() -> list[Figure]:
    """10,000 sends of one key by four processes; then sends after the end of a holder in each way."""
    async with staged("unique") as stage:
        once = stage.app.registry.get("once")
        with ProcessPoolExecutor(4, PROCESSES) as pool:
            counts = await asyncio.gather(
                *(asyncio.get_running_loop().run_in_executor(pool, sends_at_once, stage.port, 2_500) for _ in range(4))
            )
        made = sum(counts)
        stats = await stage.app.queue_stats("unique")
        figures = [
            Figure(
                "jobs made by 10,000 sends, jobs that wait", f"{made}, {stats.size}", "1, 1", made == stats.size == 1
            )
        ]

        expired = await once.with_options(expires=0.2).delay("expired", 0.0)
        await asyncio.sleep(0.3)
        await stage.start(2, 10)
        await stage.empty()
        after_expired = await once.delay("expired", 0.0)
        await after_expired.result(20)
        is_right = await expired.status() is JobState.CANCELLED and after_expired.is_new
        figures.append(Figure("after one that expired, the next send", told(after_expired), "new job", is_right))

        deleted = await once.delay("deleted", 0.0)
        await deleted.result(20)
        await stage.app.delete_job(deleted.id)
        after_deleted = await once.delay("deleted", 0.0)
        await after_deleted.result(20)
        figures.append(Figure("after one that was deleted", told(after_deleted), "new job", after_deleted.is_new))

        notes = await stage.notes.count()
        await once.delay("killed", 1.0)
        holder = (await stage.noted(notes + 1))[-1].pid
        _, died = await stage.kill([worker.pid for worker in stage.workers].index(holder))
        meets = await once.delay("killed", 1.0)
        starts = [note.at for note in await stage.noted(notes + 2, within=20.0) if note.key == "killed"]
        await meets.result(20)
        again = await once.delay("killed", 0.0)
        await again.result(20)
        figures.append(Figure("while a killed one waits for recovery", told(meets), "same job", not meets.is_new))
        took = starts[1] - died
        figures.append(Figure("it runs again after", f"{took:.1f} s", f"{RECOVERED_S:g} s", took <= RECOVERED_S))
        figures.append(Figure("and after its end", told(again), "new job", again.is_new))
    return figures


def told(handle: JobHandle[object]) -> str:
    """Return what a send has led to."""
    return "new job" if handle.is_new else "same job"


PARTS: dict[str, Callable[[], Coroutine[None, None, list[Figure]]]] = {
    "rate": part_rate,
    "killed": part_killed,
    "fair": part_fair,
    "weights": part_weights,
    "together": part_together,
    "unique": part_unique,
}


def work(port: int, queue: str, concurrency: int) -> None:
    """Be a worker."""
    logging.disable(logging.WARNING)  # of the jobs that are recovered
    asyncio.run(Worker(make_app(port), queues=[queue], concurrency=concurrency).run())


def main() -> int:
    """Run the parts and print the table; returns 1 if a bound does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    all_hold = True
    for name in parser.parse_args().only:
        for figure in asyncio.run(PARTS[name]()):
            mark = "" if figure.holds else "  FAILS"
            print(f"{name:<9} {figure.what:<60} {figure.found:>18}  {figure.bound:<11}{mark}".rstrip(), flush=True)
            all_hold = all_hold and figure.holds
    return 0 if all_hold else 1


if __name__ == "__main__":
    sys.exit(main())
