"""What lines cost: microseconds of the server a job, of jobs with groups and gates beside plain ones.

``python -m benchmarks.flow`` starts a server by itself. In each round all variants take turns on it, so that a machine
that is busy elsewhere slows all of them; the last column is the median of the ratios of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import redis

from asyncjobs.brokers.redis.broker import RedisBroker
from asyncjobs.core.limits import NO_RULES, QueueLimit, QueueRules, Rate
from asyncjobs.core.lines import line_key
from asyncjobs.core.record.envelope import Envelope, encode
from asyncjobs.core.server import Server as Address
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.ports import ClaimRequest, NewJob
from benchmarks.sizing import server_cpu
from tests.servers import Server, find_binary

SENT_AT_ONCE = 500
CLAIMED_AT_ONCE = 100

#: How long a worker waits between its claims of a limited rate.
WAIT_S = 0.05


class Variant(NamedTuple):
    """One kind of jobs: the line of the job of a number, the rules of the queue, and the pause between claims."""

    name: str
    line: Callable[[int], str]
    rules: QueueRules = NO_RULES
    wait_s: float = 0


WIDE = QueueLimit(running=1_000_000)
WIDE_RATE = QueueLimit(running=1_000, rate=Rate(1_000_000, per=1, burst=1_000_000))
VARIANTS = [
    Variant("plain", lambda n: ""),
    Variant("turns of 3 groups", lambda n: line_key(f"g{n % 3}", ())),
    Variant("turns of 100 groups", lambda n: line_key(f"g{n % 100}", ())),
    Variant("turns, a group for each job", lambda n: line_key(f"g{n}", ())),
    Variant(
        "a gate that is never full, 100 values", lambda n: line_key("", [f"c={n % 100}"]), QueueRules(gates={"c": WIDE})
    ),
    Variant(
        "a gate that is never full, a value for each job",
        lambda n: line_key("", [f"c={n}"]),
        QueueRules(gates={"c": WIDE}),
    ),
    Variant(
        "turns, two gates, a rate and the queue's limit, never full, 100 values",
        lambda n: line_key(f"g{n % 100}", [f"c={n % 100}", "all"]),
        QueueRules(queue=WIDE, gates={"c": WIDE_RATE, "all": WIDE}),
    ),
    Variant(
        "always full: 1 a customer (1,000), 20 in all",
        lambda n: line_key("", [f"c={n % 1_000}", "all"]),
        QueueRules(gates={"c": QueueLimit(running=1), "all": QueueLimit(running=20)}),
    ),
    Variant(
        "a rate of 1,000 a second, burst 100",
        lambda n: line_key("", ["r"]),
        QueueRules(gates={"r": QueueLimit(rate=Rate(1_000, per=1, burst=100))}),
        WAIT_S,
    ),
]


class Costs(NamedTuple):
    """Microseconds of the server a job."""

    enqueue: float
    drain: float

    @property
    def all(self) -> float:
        """Both together."""
        return self.enqueue + self.drain


async def drain(broker: RedisBroker, count: int, wait_s: float) -> None:
    """Claim and settle ``count`` jobs, with ``wait_s`` between two claims."""
    number = done = 0
    while done < count:
        number += 1
        claim = await broker.claim(
            ClaimRequest(
                worker="w",
                number=number,
                queues=["flow"],
                limit=CLAIMED_AT_ONCE,
                lease_ms=60_000,
                names=frozenset(["work"]),
            )
        )
        if claim.jobs:
            done += len(claim.jobs)
            await broker.settle(
                [
                    Settlement(job.queue, job.id, job.name, job.priority, job.fence, Verdict.COMPLETE, body=b"\x80",
                               ttl_ms=60_000, duration_us=1_000, entry=b"e")
                    for job in claim.jobs
                ]
            )  # fmt: skip
        await asyncio.sleep(wait_s)


async def cost_of(variant: Variant, count: int, port: int, client: redis.Redis) -> Costs:
    """Return what ``count`` jobs of a variant cost the server."""
    client.flushall()
    broker = RedisBroker(Address(nodes=(("127.0.0.1", port),), scheme="redis"))
    body = encode(Envelope(arguments=msgspec.Raw(encode(["one", "two", "three"])), created_at_ms=1))
    jobs = [NewJob("flow", f"job-{n:08}", "work", body, line=variant.line(n)) for n in range(count)]
    await broker.open()
    try:
        await broker.declare_rules("flow", variant.rules)
        began = server_cpu(client)
        for first in range(0, count, SENT_AT_ONCE):
            await broker.enqueue(jobs[first : first + SENT_AT_ONCE])
        sent = server_cpu(client)
        await drain(broker, count, variant.wait_s)
        done = server_cpu(client)
    finally:
        await broker.close()
    return Costs((sent - began) / count * 1e6, (done - sent) / count * 1e6)


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--jobs", type=int, default=2_000)
    given = options.parse_args()
    server = Server(find_binary())
    costs: dict[str, list[Costs]] = {variant.name: [] for variant in VARIANTS}
    try:
        with server.client() as client:
            for number in range(given.rounds + 1):
                for variant in VARIANTS[:: 1 if number % 2 else -1]:
                    found = asyncio.run(cost_of(variant, given.jobs, server.port, client))
                    if number:  # the first warms up
                        costs[variant.name].append(found)
    finally:
        server.close()
    print(f"{'us of the server a job':72} {'enqueue':>8} {'drain':>8} {'all':>8} {'x plain':>8}")
    for name, ours in costs.items():
        ratio = statistics.median(one.all / plain.all for one, plain in zip(ours, costs["plain"], strict=True))
        enqueue, drained = (statistics.median(values) for values in zip(*ours, strict=True))
        both = statistics.median(one.all for one in ours)
        print(f"{name:72} {enqueue:8.1f} {drained:8.1f} {both:8.1f} {ratio:8.2f}")


if __name__ == "__main__":
    main()
