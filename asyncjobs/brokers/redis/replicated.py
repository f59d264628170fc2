"""Writes that return once replicas have them.

Redis answers before it replicates, so a failover may lose other writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis.exceptions

from asyncjobs.brokers.redis.cluster import Cluster
from asyncjobs.brokers.redis.connection import translated
from asyncjobs.brokers.redis.keys import QueueKeys
from asyncjobs.brokers.redis.node import OneServer, raise_first
from asyncjobs.brokers.redis.scripts import Script, Value
from asyncjobs.core.server import Server
from asyncjobs.errors import BrokerUnavailable

__all__ = ["ReplicatedWrites"]

# How long the key is kept that is written for ``WAIT``.
_BARRIER_MS = 1_000


class ReplicatedWrites:
    """Runs scripts, and waits for the replicas on the same connection, as ``WAIT`` demands."""

    def __init__(self, settings: Server, links: OneServer | Cluster) -> None:
        self._settings = settings
        self._links = links
        # By queue, how many replicas its primary had at the last write.
        self._counts: dict[str, int] = {}

    async def run(self, script: Script, keys: QueueKeys, values: Sequence[Value]) -> Any:
        """Run ``script`` on a queue, and return its reply once the replicas have its writes too.

        It must be harmless to run it twice: it runs again if the primary has more replicas than before.

        Raises:
            BrokerUnavailable: Too few replicas confirm within half the command timeout; the primary has the writes.
        """
        named = keys.named(script.keys)
        args = (len(named), *named, *values)
        first: Any = None
        with translated(self._settings):
            while True:
                asked = self._settings.replicas or self._counts.get(keys.queue, 1)
                reply, confirmed, count = await self._once(keys, ("EVALSHA", script.sha, *args), asked)
                if isinstance(reply, redis.exceptions.NoScriptError):
                    reply, confirmed, count = await self._once(keys, ("EVAL", script.text, *args), asked)
                raise_first([reply, confirmed, count])
                # The first run did the work, and the next ones find it done.
                first = reply if first is None else first
                self._counts[keys.queue] = max(1, count)
                needed = self._settings.replicas or self._counts[keys.queue]
                if confirmed >= needed or asked >= needed:
                    break
        if confirmed < needed:
            who = "no replica has" if not confirmed else f"only {confirmed} of {needed} replicas {_has(confirmed)}"
            raise BrokerUnavailable(
                f"Redis at {self._settings.address} has accepted the jobs, but {who} confirmed them within "
                f"{self._settings.command_timeout / 2:g} s; a failover now may lose them. Check its replicas "
                "(INFO replication), wait for fewer (?replicas=1 in the URL), or send with durability='local'."
            )
        return first

    async def _once(self, keys: QueueKeys, call: Sequence[Any], replicas: int) -> tuple[Any, Any, Any]:
        """Return the reply, how many replicas have confirmed it, and how many the primary has, or their errors."""
        # WAIT waits for the last write of this connection. A repeated job writes nothing, so this key is written.
        barrier = ("SET", keys.barrier, "1", "PX", _BARRIER_MS)
        wait = ("WAIT", replicas, round(self._settings.command_timeout * 500))
        reply, set_, confirmed, info = await self._links.send(
            keys.barrier, [call, barrier, wait, ("INFO", "replication")]
        )
        count = info.count(b"state=online") if isinstance(info, bytes) else info
        return reply, set_ if isinstance(set_, Exception) else confirmed, count


def _has(count: int) -> str:
    return "has" if count == 1 else "have"
