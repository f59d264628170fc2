"""The connections of the Redis broker, and the ways to run a script or a command on them."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import redis.exceptions

from asyncjobs.brokers.redis.cluster import Cluster, NotSent
from asyncjobs.brokers.redis.connection import check_server, translated
from asyncjobs.brokers.redis.keys import GlobalKeys
from asyncjobs.brokers.redis.news import NewsListener
from asyncjobs.brokers.redis.node import OneServer
from asyncjobs.brokers.redis.replicated import ReplicatedWrites
from asyncjobs.brokers.redis.replies import read_flags
from asyncjobs.brokers.redis.scripts import Script, Value, load
from asyncjobs.core.portions import Portion
from asyncjobs.core.retention import QUEUE_KEEP_MS
from asyncjobs.core.server import Server
from asyncjobs.errors import BrokerRefused, BrokerUnavailable, QueueUnavailable
from asyncjobs.ports import NewJob
from asyncjobs.ports.outage import Outage
from asyncjobs.ports.sharing import Shared

__all__ = ["CLAIM", "ENQUEUE", "JOBS_A_CALL", "RING", "SETTLE", "Session", "listing"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

SCHEMA_VERSION = 1

#: That of data in which there are, or were, lines: an earlier asyncjobs would serve only the jobs beside them.
LINED_SCHEMA_VERSION = 2

_READ_SCHEMAS = (b"%d" % SCHEMA_VERSION, b"%d" % LINED_SCHEMA_VERSION)

# How many jobs one script call may carry: Redis serves no other client meanwhile, and Lua unpacks at most 8,000 values.
JOBS_A_CALL = 1_000

# How often a connection that awaits results asks whether the server is there.
_PING_EVERY_S = 2.0

# How often a sender lists its queue again, so that it comes back even after Redis has lost its data.
_REGISTER_EVERY_S = 60.0

ENQUEUE = load("enqueue")
CLAIM = load("claim")
SETTLE = load("settle")
RING = load("ring")

# Each has a connection to each server for itself.
_HOT_PATH = frozenset((ENQUEUE, CLAIM, SETTLE))

_MUST_WAIT = "queue %s must wait, others go on: %s"


class Session:
    """The connections of a broker, which belong to the event loop that opened it.

    Args:
        settings: Where Redis is.
        prefix: What every key begins with.
    """

    def __init__(self, settings: Server, *, prefix: str = "asyncjobs") -> None:
        self._settings = settings
        self._keys = GlobalKeys(prefix)
        self._registered: dict[str, float] = {}
        self._announced: dict[str, bytes] = {}
        # The schema of the data if it is another one than this asyncjobs reads, else empty.
        self._foreign_schema = ""
        # Whether the data may have lines.
        self._is_lined = False
        self._one_slot = False
        self._portion = Portion()
        self._outages: dict[str, Outage] = {}
        self._shared = Shared(self._open, self._disconnect)
        self._pid = os.getpid()
        self._connect()

    def _connect(self) -> None:
        """Make what connects on the running event loop; nothing is sent yet."""
        settings = self._settings
        self._links = (Cluster if settings.mode == "cluster" else OneServer)(settings, _HOT_PATH)
        self._ends = NewsListener(settings, self._links.connection, "results", _PING_EVERY_S)
        self._replicated = ReplicatedWrites(settings, self._links)

    async def open(self) -> None:
        # Several apps may share a broker. A forked process must leave the connections of its parent alone.
        if self._pid != os.getpid():
            self._shared.forget()
            self._pid = os.getpid()
        await self._shared.enter()

    async def _open(self) -> None:
        self._connect()
        try:
            await self._check()
        except BaseException:
            await self._disconnect()
            raise

    async def _check(self) -> None:
        with translated(self._settings):
            for info in await self._links.infos():
                check_server(self._settings, info)
                # Valkey 8 and later have another name for the field.
                self._one_slot = "cluster" in (info.get("redis_mode"), info.get("server_mode"))
        try:
            await self._check_schema()
        except QueueUnavailable as error:
            # The primaries that can be reached serve their queues all the same.
            _log.warning("the schema version can't be checked: %s", error)

    async def _check_schema(self) -> None:
        """Raise ``BrokerRefused`` unless the data have this schema; then no script is run any more, until they do."""
        # Read first, so that workers can start on a server that is full.
        schema: bytes | None = await self._command("HGET", self._keys.meta, "schema")
        if schema is None:
            with self._in_passing():
                await self._command("HSETNX", self._keys.meta, "schema", SCHEMA_VERSION)
            schema = await self._command("HGET", self._keys.meta, "schema")
        self._is_lined = schema == _READ_SCHEMAS[1]
        is_ours = schema is None or schema in _READ_SCHEMAS
        self._foreign_schema = "" if is_ours else schema.decode(errors="replace") or "none"
        self._refuse_foreign_schema()

    async def _begin_lines(self, jobs: Iterable[NewJob]) -> None:
        """Raise the schema version before the first job goes to a line: no earlier asyncjobs is to serve the queue."""
        if not self._is_lined and any(job.line for job in jobs):
            await self._command("HSET", self._keys.meta, "schema", LINED_SCHEMA_VERSION)
            self._is_lined = True

    def _refuse_foreign_schema(self) -> None:
        if schema := self._foreign_schema:
            raise BrokerRefused(
                f"the data under {self._keys.prefix!r} at {self._settings.address} has schema version {schema}; this "
                f"asyncjobs reads versions {SCHEMA_VERSION} and {LINED_SCHEMA_VERSION}. Use the asyncjobs that wrote "
                "it, or another prefix."
            )

    async def close(self) -> None:
        await self._shared.leave()

    async def _disconnect(self) -> None:
        await self._ends.close()
        await self._links.close()
        self._registered.clear()

    async def _command(self, name: str, key: str, *args: Any) -> Any:
        with translated(self._settings, name):
            return await self._links.caller(key)(name, key, *args)

    async def _run(self, script: Script, queues: Sequence[str], values: Sequence[Value]) -> Any:
        """Run ``script`` on ``queues``, which share a slot, and return its reply."""
        if self._foreign_schema:
            self._refuse_foreign_schema()
        keys = self._keys.queue(queues[0]).named(script.keys)
        if len(queues) > 1:
            keys = [key for queue in queues for key in self._keys.queue(queue).named(script.keys)]
        execute = self._links.caller(keys[0], script)
        try:
            with translated(self._settings, script.name):
                try:
                    reply = await execute("EVALSHA", script.sha, len(keys), *keys, *values)
                except redis.exceptions.NoScriptError:
                    # A restart or a failover has emptied the server's cache of scripts; ``EVAL`` fills it again.
                    reply = await execute("EVAL", script.text, len(keys), *keys, *values)
        except BrokerUnavailable as error:
            if not isinstance(error.__cause__, NotSent):
                self._portion.failed()
            raise
        if self._portion.is_reduced:
            self._portion.succeeded(_bytes_in(values) + _bytes_in(reply))
        return reply

    async def _on_queue(self, script: Script, queue: str, /, *tables: Collection[Value], **args: Value) -> Any:
        """Run ``script`` on ``queue``, and return its reply; further arguments as of ``Script.values``."""
        return await self._run(script, (queue,), script.values(*tables, **args))

    async def _run_each(self, script: Script, groups: Sequence[Sequence[str]]) -> list[Any]:
        """Run ``script``, which takes no arguments, on each group of queues, in one round trip; return the replies."""
        self._refuse_foreign_schema()
        calls = [[key for queue in queues for key in self._keys.queue(queue).named(script.keys)] for queues in groups]
        try:
            return await self._commands(
                [(keys[0], ("EVALSHA", script.sha, len(keys), *keys)) for keys in calls], script
            )
        except BrokerRefused as error:
            if not isinstance(error.__cause__, redis.exceptions.NoScriptError):
                raise
            return await self._commands([(keys[0], ("EVAL", script.text, len(keys), *keys)) for keys in calls], script)

    async def _commands(self, commands: Sequence[tuple[str, Sequence[Any]]], script: Script | None = None) -> list[Any]:
        """Send commands, each with a key of its own, in one round trip, in a Cluster one each; return the replies.

        ``script``: what they run, if all of them run one.
        """
        with translated(self._settings, "" if script is None else script.name):
            return await self._links.call_each(commands)

    async def _each(self, queues: Sequence[str], call: Callable[[str], Awaitable[T]]) -> list[T]:
        """Return what ``call`` returns for each queue; in a Cluster, for each whose primary can be reached.

        Raises:
            BrokerUnavailable: None of them can be reached.
        """
        found: list[T] = []
        failure: QueueUnavailable | None = None
        for queue in queues:
            try:
                found.append(await call(queue))
            except QueueUnavailable as error:
                failure = error
                if queue not in self._outages:
                    self._outages[queue] = Outage(_log, _MUST_WAIT, f"queue {queue} is served again")
                self._outages[queue].failed(error, queue)
            else:
                if self._outages and queue in self._outages:
                    self._outages.pop(queue).over()
        if failure is not None and not found:
            raise failure
        return found

    async def _ring(self, queue: str) -> None:
        await self._on_queue(RING, queue)

    async def _on_ids(self, script: Script, queue: str, job_ids: Sequence[str], **args: Value) -> list[bool]:
        flags: list[bool] = []
        for start in range(0, len(job_ids), JOBS_A_CALL):
            flags += read_flags(await self._on_queue(script, queue, job_ids[start : start + JOBS_A_CALL], **args))
        return flags

    async def _register(self, queue: str) -> None:
        now = time.monotonic()
        if now - self._registered.get(queue, -_REGISTER_EVERY_S) >= _REGISTER_EVERY_S:
            with self._on_other_slot():
                await self._check_schema()
                # What is to be done in the queue is refused by itself.
                with self._in_passing():
                    await self._command(*listing(self._keys.queues, [queue], QUEUE_KEEP_MS))
                    self._registered[queue] = now

    @contextlib.contextmanager
    def _in_passing(self) -> Iterator[None]:
        """Go on where what the call itself does not need is refused: the user may be one that only looks."""
        with contextlib.suppress(BrokerRefused):
            yield

    @contextlib.contextmanager
    def _on_other_slot(self) -> Iterator[None]:
        """Go on if the primary of a key that is only for show can't be reached: in a Cluster, queues are elsewhere."""
        with contextlib.suppress(QueueUnavailable):
            yield


def _bytes_in(value: Any) -> int:
    """Return how many bytes the texts in arguments, or in a reply, have."""
    if isinstance(value, list | tuple):
        return sum(map(_bytes_in, value))
    return len(value) if isinstance(value, bytes | str) else 0


def listing(key: str, names: Sequence[str], keep_ms: int) -> list[Any]:
    """Return the command that lists ``names`` in the sorted set ``key``, by the time until which they stay there.

    That is ``keep_ms`` from now at least, and twice that at most: for ``keep_ms`` it is the same time, so that what is
    sent again and again writes nothing.
    """
    until_ms = (time.time_ns() // 1_000_000 // keep_ms + 2) * keep_ms
    return ["ZADD", key, "GT", *(part for name in names for part in (until_ms, name))]
