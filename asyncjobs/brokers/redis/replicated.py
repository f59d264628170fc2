"""Writes that return once a replica has them.

Redis answers before it replicates, so a failover may lose other writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis.asyncio
import redis.exceptions

from asyncjobs.brokers.redis.clients import AsyncClient, close, of_key
from asyncjobs.brokers.redis.connection import translated
from asyncjobs.brokers.redis.keys import QueueKeys
from asyncjobs.brokers.redis.scripts import Script, Value
from asyncjobs.core.server import Server
from asyncjobs.errors import BrokerUnavailable

__all__ = ["ReplicatedWrites"]

# How long the key is kept that is written for ``WAIT``.
_BARRIER_MS = 1_000


class ReplicatedWrites:
    """Runs scripts, and waits for a replica on the same connection, as ``WAIT`` demands."""

    def __init__(self, settings: Server, client: AsyncClient) -> None:
        self._settings = settings
        self._client = client
        self._nodes: dict[str, redis.asyncio.Redis] = {}

    async def run(self, script: Script, keys: QueueKeys, values: Sequence[Value]) -> Any:
        """Run ``script`` on a queue, and return its reply once a replica has its writes too.

        Raises:
            BrokerUnavailable: No replica confirms within half the command timeout; the primary has the writes.
        """
        with translated(self._settings):
            client = await self._client_of(keys)
            named = keys.named(script.keys)
            args = (len(named), *named, *values)
            reply, confirmed = await self._once(client, keys, ("EVALSHA", script.sha, *args))
            if isinstance(reply, redis.exceptions.NoScriptError):
                reply, confirmed = await self._once(client, keys, ("EVAL", script.text, *args))
            for answer in (reply, confirmed):
                if isinstance(answer, Exception):
                    raise answer
        if not confirmed:
            raise BrokerUnavailable(
                f"Redis at {self._settings.address} has accepted the jobs, but no replica has confirmed them within "
                f"{self._settings.command_timeout / 2:g} s; a failover now would lose them. Check its replicas "
                "(INFO replication), or send with durability='local'."
            )
        return reply

    async def _once(self, client: redis.asyncio.Redis, keys: QueueKeys, call: Sequence[Any]) -> tuple[Any, Any]:
        async with client.pipeline(transaction=False) as pipe:
            pipe.execute_command(*call)
            # WAIT waits for the last write of this connection. A repeated job writes nothing, so this key is written.
            pipe.execute_command("SET", keys.barrier, "1", "PX", _BARRIER_MS)
            pipe.execute_command("WAIT", 1, round(self._settings.command_timeout * 500))
            reply, barrier, confirmed = await pipe.execute(raise_on_error=False)
        return reply, barrier if isinstance(barrier, Exception) else confirmed

    async def _client_of(self, keys: QueueKeys) -> redis.asyncio.Redis:
        if not isinstance(self._client, redis.asyncio.RedisCluster):
            return self._client
        await self._client.initialize()
        node = self._client.get_node_from_key(keys.base)
        name = "" if node is None else str(node.name)
        if name not in self._nodes:
            self._nodes[name] = of_key(self._settings, self._client, keys.base)
        return self._nodes[name]

    async def close(self) -> None:
        """Give up the connections."""
        for client in self._nodes.values():
            await close(client)
        self._nodes.clear()
