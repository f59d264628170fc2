"""The kits of our own brokers."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import redis

from asyncjobs.brokers.memory import MemoryBroker
from asyncjobs.brokers.redis.broker import RedisBroker
from asyncjobs.brokers.redis.keys import KEY_NAMES, QueueKeys
from asyncjobs.core.server import Server as Address
from asyncjobs.ports import Place
from asyncjobs.testing import ManualClock
from tests.conformance.faults_of_lines import faults_in, faults_of, remains_in, remains_of
from tests.conformance.losses import lossy
from tests.servers import Server
from tests.waiting import SOON

__all__ = ["ClusterKit", "MemoryKit", "RedisKit"]

PLACES: list[Place] = ["ready", "scheduled", "running", "parked", "dead"]
QUEUES = ["default", "bench", "other", "third", "parking", "first", "second", "a", "b", "unused", "served"]


def _address(servers: list[Server], scheme: str = "redis") -> Address:
    """Return where to connect; on a busy machine, a server is no less there for being slow."""
    places = tuple(("127.0.0.1", server.port) for server in servers)
    return Address(nodes=places, scheme=scheme, connect_timeout=SOON, command_timeout=SOON)


class MemoryKit:
    """The memory broker on a clock of its own."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.broker = MemoryBroker(self.clock)

    async def advance(self, milliseconds: int) -> None:
        self.clock.advance(milliseconds)

    def lose_commands(self, lose: Callable[[], bool]) -> None:
        """There are no commands to lose."""

    async def places(self, queue: str) -> Counter[str]:
        """Count in how many places each live id is."""
        found: Counter[str] = Counter()
        for place in PLACES:
            page = await self.broker.page(queue, place, "", 10_000)
            found.update(job.id for job in page.jobs)
        return found

    async def faults_of_lines(self, queue: str) -> list[str]:
        """Name what is wrong with lines, turns and gates, as they are kept."""
        return faults_of(self.broker._queue(queue))

    async def remains_of_lines(self, queue: str) -> list[str]:
        """Name what is kept of lines, turns and gates of a queue whose jobs have all ended."""
        return remains_of(self.broker._queue(queue))

    async def orphans(self, queue: str) -> list[str]:
        """Name what is counted and not listed."""
        [figures] = await self.broker.overview([queue])
        listed = [job for place in PLACES for job in (await self.broker.page(queue, place, "", 10_000)).jobs]
        tried = [job.id for job in listed if job.failures or job.deaths or job.errors]
        return [] if len(tried) == figures.tried else [f"{figures.tried} were tried: {tried}"]


class RedisKit:
    """The Redis broker on a server whose time is moved by the shift that only tests set, and by shorter expiries."""

    def __init__(self, server: Server) -> None:
        self._begin(server.client(), _address([server]))

    def _begin(self, client: Any, settings: Address) -> None:
        self._client = client
        self._client.flushall()
        self._shift_ms = 0
        self._losses = contextlib.ExitStack()
        self.broker = RedisBroker(settings)

    async def advance(self, milliseconds: int) -> None:
        self._shift_ms += milliseconds
        for queue in QUEUES:
            self._client.hset(QueueKeys("asyncjobs", queue).cfg, "shift_ms", self._shift_ms)
        for queue in self._client.zrange("asyncjobs:queues", 0, -1):
            self._client.zincrby("asyncjobs:queues", -milliseconds, queue)
        for key in self._client.scan_iter(count=1000):
            left = self._client.pttl(key)
            if left >= 0:
                self._client.pexpire(key, max(0, left - milliseconds))

    async def places(self, queue: str) -> Counter[str]:
        """Count in how many places each live id is, less the entries that are only passed over."""
        keys, client = QueueKeys("asyncjobs", queue), self._client
        found: Counter[str] = Counter()
        lists = [*keys.ready, *(keys.of("parked_jobs", label.decode()) for label in client.hkeys(keys.parked))]
        lists += [keys.of("line", field.decode()) for field in client.hkeys(keys.of("flow", "lines"))]
        for key in lists:
            found.update(one.decode() for one in client.lrange(key, 0, -1))
        for field, number in client.hgetall(keys.gone).items():
            found[field.decode().partition(" ")[0]] -= abs(int(number))
        found.update(one.decode().partition(":")[2] for one in client.zrange(keys.scheduled, 0, -1))
        found.update(one.decode() for one in client.zrange(keys.dead, 0, -1))
        found.update(one.decode().split(":", 2)[2] for one in client.zrange(keys.leased, 0, -1))
        prefix = keys.of("job", "")
        live = {
            key.decode().removeprefix(prefix)
            for key in client.scan_iter(match=f"{prefix}*", count=1000)
            if (client.get(key) or b"1x")[1:2] in (b"-", b"p", b"t")
        }
        assert set(+found) == live
        return +found

    async def orphans(self, queue: str) -> list[str]:
        """Name what is kept for jobs that are no more, and keys that nothing owns and nothing will remove."""
        keys, client = QueueKeys("asyncjobs", queue), self._client
        places = await self.places(queue)
        left = [one.decode() for one in client.hkeys(keys.tries) if one.decode() not in places]
        left += [one.decode() for one in client.hkeys(keys.numbers) if one.decode() not in places]
        assert client.zcard(keys.deleted) == client.hlen(keys.deletions)
        leased = set(client.zrange(keys.leased, 0, -1))
        left += [one.decode() for one in client.hkeys(keys.cancels) if one not in leased]
        fences = {one.decode().split(":", 2)[2]: one.split(b":")[0] for one in leased}
        assert {key.decode(): run.split(b" ")[0] for key, run in client.hgetall(keys.fences).items()} == fences
        owned = {*keys.named(KEY_NAMES), "asyncjobs:meta", "asyncjobs:queues", "asyncjobs:workers"}
        dead = set(client.zrange(keys.dead, 0, -1))
        for key in client.scan_iter(count=1000):
            name = key.decode()
            if name.startswith(keys.of("tenant_dead", "")):
                left += [one.decode() for one in client.zrange(key, 0, -1) if one not in dead]
                continue
            if name.startswith(keys.of("group", "")):
                left += [one.decode() for one in client.zrange(key, 0, -1) if one not in dead]
                which = name.removeprefix(keys.of("group", ""))
                if client.hget(keys.of("groups", "counts"), which) != b"%d" % client.zcard(key):
                    left.append(f"the count of {name}")
                continue
            if name.startswith(keys.of("groups", "")):
                if name.endswith(":of"):
                    left += [one.decode() for one in client.hkeys(key) if one not in dead]
                continue
            is_live = name.startswith(keys.of("job", "")) and name.removeprefix(keys.of("job", "")) in places
            is_parked = name.startswith(keys.of("parked_jobs", ""))
            # What is wrong with these is for ``faults_of_lines``.
            is_lined = any(name.startswith(keys.of(one, "")) for one in ("flow", "line", "turn", "wait"))
            is_cfg = name.endswith("}:cfg") or is_lined
            if name not in owned and not is_live and not is_parked and not is_cfg and client.ttl(key) == -1:
                left.append(name)
        return left

    async def faults_of_lines(self, queue: str) -> list[str]:
        """Name what is wrong with lines, turns and gates, as they are kept."""
        return list(faults_in(self._client, QueueKeys("asyncjobs", queue)))

    async def remains_of_lines(self, queue: str) -> list[str]:
        """Name what is kept of lines, turns and gates of a queue whose jobs have all ended."""
        return list(remains_in(self._client, QueueKeys("asyncjobs", queue)))

    def lose_commands(self, lose: Callable[[], bool]) -> None:
        """Lose the request or the reply of each script call for which ``lose`` says so, until the kit is closed."""
        self._losses.enter_context(lossy(lose))

    def close(self) -> None:
        self._losses.close()
        self._client.close()


class ClusterKit(RedisKit):
    """The Redis broker on a Cluster."""

    def __init__(self, nodes: list[Server]) -> None:
        client = redis.RedisCluster(host="127.0.0.1", port=nodes[0].port)
        self._begin(client, _address(nodes, "redis+cluster"))
