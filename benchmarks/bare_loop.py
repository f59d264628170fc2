"""The yardstick: the product's own scripts, called by some fifty lines of plain asyncio, with no framework around.

200 jobs a claim, as a worker with 100 slots takes under load, a plain task with a timeout a job, the next claim and the
last settle overlapping with the handlers, results kept. What a framework adds to this is what it costs.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import msgspec

from asyncjobs.brokers.redis.keys import QueueKeys
from asyncjobs.brokers.redis.node import Node
from asyncjobs.brokers.redis.scripts import Script, Value, load
from asyncjobs.core.server import Server

__all__ = ["Bare"]

CLAIM, SETTLE, ENQUEUE = load("claim"), load("settle"), load("enqueue")
settled, new_job = SETTLE.rows["job"], ENQUEUE.rows["job"]
BATCH = 200
HEADER = b"1-2\x04\x00\x00\x00noop"
ARGUMENTS = b"\x93\xb0user@example.com\xa7Welcome\xb5Thanks for signing up"
RECORD = HEADER + b"\x82\xa1a" + ARGUMENTS + b"\xa1s\xce\xff\xff\xff\xff"
encode = msgspec.msgpack.Encoder().encode


async def noop(to: str, subject: str, body: str) -> None:
    """The job."""


class Bare:
    """The loop, on one queue."""

    def __init__(self, port: int, queue: str = "default") -> None:
        self._settings = Server(nodes=(("127.0.0.1", port),))
        self._node = Node(self._settings)
        self._keys = QueueKeys("asyncjobs", queue)
        self._numbers = itertools.count(1)

    async def _script(self, script: Script, args: list[Value]) -> Any:
        keys = self._keys.named(script.keys)
        try:
            return await self._node.commands.call("EVALSHA", script.sha, len(keys), *keys, *args)
        except Exception as error:
            if "NOSCRIPT" not in str(error) and "No matching" not in str(error):
                raise
            return await self._node.commands.call("EVAL", script.text, len(keys), *keys, *args)

    async def claim(self, limit: int) -> tuple[int, list[Any]]:
        number = next(self._numbers)
        args = {"worker": "bare", "number": number, "limit": limit, "lease_ms": 30_000, "lowest_first": False}
        args |= {"keep_number": False, "sent_at": 0, "any_name": False, "kept_names": "", "timer_ms": 0}
        args |= {"most_bytes": 4 << 20, "suspects": 1_000, "last_one": True, "max_deaths": 3, "ahead": 0}
        [part] = await self._script(CLAIM, CLAIM.values(["noop"], **args))
        reply = CLAIM.reply(*part)
        return reply.fence, reply.jobs

    async def settle(self, rows: list[Value]) -> None:
        await self._script(SETTLE, SETTLE.values(rows, has_unique=False))

    async def _run(self, fence: int, job_id: bytes, record: bytes, out: list[Any]) -> None:
        arguments = msgspec.msgpack.decode(record[11:])["a"]
        began = time.perf_counter_ns()
        async with asyncio.timeout(300):
            await noop(*arguments)
        took_us = (time.perf_counter_ns() - began) // 1000
        member = b"%d:2:%s" % (fence, job_id)
        final = b"1c" + record[2:11] + b"\x82\xa1r\xc0\xa1e" + record[11:]
        entry = encode((job_id, "completed", 1, 0, took_us, ""))
        out += settled(
            member=member,
            id=job_id,
            name="noop",
            verdict="c",
            value=final,
            ms=3_600_000,
            duration_us=took_us,
            bucket=1,
            entry=entry,
            tenant="",
        )

    async def drain(self, jobs: int) -> None:
        """Run ``jobs`` jobs, with a claim and a settle under way beside the handlers."""
        done = 0
        claiming = asyncio.ensure_future(self.claim(BATCH))
        settling: asyncio.Future[None] | None = None
        while done < jobs:
            fence, found = await claiming
            claiming = asyncio.ensure_future(self.claim(BATCH))
            out: list[Any] = []
            fields = iter(found)
            tasks = [
                asyncio.create_task(self._run(fence, job_id, record, out))
                for job_id, _, record in zip(fields, fields, fields, strict=True)
            ]
            if tasks:
                await asyncio.wait(tasks)
            done += len(tasks)
            if settling is not None:
                await settling
            settling = asyncio.ensure_future(self.settle(out)) if out else None
        if settling is not None:
            await settling
        await claiming

    async def enqueue(self, ids: list[str]) -> None:
        """Send jobs in one call."""
        rows: list[Value] = []
        for job_id in ids:
            rows += new_job(id=job_id, when="", record=RECORD)
        await self._script(ENQUEUE, ENQUEUE.values(rows))

    async def serve(self, lines: list[str]) -> None:
        """Wait for the bell, claim, and note when each job begins; for ever."""
        while True:
            await self._node.waits.call("BLPOP", self._keys.bell, 1)
            fence, found = await self.claim(BATCH)
            now_ns = time.time_ns()
            out: list[Any] = []
            fields = iter(found)
            for job_id, _, record in zip(fields, fields, fields, strict=True):
                lines.append(f"{job_id.decode()} {now_ns}")
                await self._run(fence, job_id, record, out)
            if out:
                await self.settle(out)

    async def close(self) -> None:
        await self._node.close()
