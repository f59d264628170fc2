"""Writes that return once a replica has them.

Redis answers before it replicates, so a failover may lose other writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis.exceptions

from asyncjobs.brokers.redis.cluster import Cluster
from asyncjobs.brokers.redis.connection import translated
from asyncjobs.brokers.redis.keys import QueueKeys
from asyncjobs.brokers.redis.node import OneServer
from asyncjobs.brokers.redis.scripts import Script, Value
from asyncjobs.core.server import Server
from asyncjobs.errors import BrokerUnavailable

__all__ = ["ReplicatedWrites"]

# How long the key is kept that is written for ``WAIT``.
_BARRIER_MS = 1_000


class ReplicatedWrites:
    """Runs scripts, and waits for a replica on the same connection, as ``WAIT`` demands."""

    def __init__(self, settings: Server, links: OneServer | Cluster) -> None:
        self._settings = settings
        self._links = links

    async def run(self, script: Script, keys: QueueKeys, values: Sequence[Value]) -> Any:
        """Run ``script`` on a queue, and return its reply once a replica has its writes too.

        Raises:
            BrokerUnavailable: No replica confirms within half the command timeout; the primary has the writes.
        """
        with translated(self._settings):
            named = keys.named(script.keys)
            args = (len(named), *named, *values)
            reply, confirmed = await self._once(keys, ("EVALSHA", script.sha, *args))
            if isinstance(reply, redis.exceptions.NoScriptError):
                reply, confirmed = await self._once(keys, ("EVAL", script.text, *args))
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

    async def _once(self, keys: QueueKeys, call: Sequence[Any]) -> tuple[Any, Any]:
        # WAIT waits for the last write of this connection. A repeated job writes nothing, so this key is written.
        barrier = ("SET", keys.barrier, "1", "PX", _BARRIER_MS)
        wait = ("WAIT", 1, round(self._settings.command_timeout * 500))
        reply, set_, confirmed = await self._links.send(keys.barrier, [call, barrier, wait])
        return reply, set_ if isinstance(set_, Exception) else confirmed
