"""Extends leases over a connection of its own, for the heartbeat thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis.exceptions

from asyncjobs.brokers.redis.arguments import lease_member
from asyncjobs.brokers.redis.connection import translated
from asyncjobs.brokers.redis.keys import GlobalKeys
from asyncjobs.brokers.redis.replies import rows
from asyncjobs.brokers.redis.scripts import load
from asyncjobs.brokers.redis.synchronous import SyncCluster, SyncServer
from asyncjobs.core.server import Server
from asyncjobs.errors import QueueUnavailable
from asyncjobs.ports import Extension, Lease

__all__ = ["RedisLeaseKeeper"]

_EXTEND = load("extend")
_LEASES_A_CALL = 1_000


class RedisLeaseKeeper:
    """A ``ports.LeaseKeeper`` on a synchronous connection."""

    def __init__(self, settings: Server, keys: GlobalKeys) -> None:
        self._settings = settings
        self._keys = keys
        self._calls = SyncCluster(settings) if settings.mode == "cluster" else SyncServer(settings)

    def extend(self, leases: Sequence[Lease], lease_ms: int) -> Extension:
        extension = Extension([], [])
        by_queue: dict[str, dict[bytes, Lease]] = {}
        for lease in leases:
            by_queue.setdefault(lease.queue, {})[lease_member(lease).encode()] = lease
        failure: QueueUnavailable | None = None
        reached = False
        for queue, members in by_queue.items():
            try:
                self._extend_all(queue, members, lease_ms, extension)
                reached = True
            except QueueUnavailable as error:
                failure = error
        if failure is not None and not reached:
            raise failure
        return extension

    def _extend_all(self, queue: str, members: dict[bytes, Lease], lease_ms: int, extension: Extension) -> None:
        named = list(members)
        for start in range(0, len(named), _LEASES_A_CALL):
            reply = _EXTEND.reply(*self._extend(queue, named[start : start + _LEASES_A_CALL], lease_ms))
            extension.lost.extend(members[member] for member in reply.lost)
            extension.cancelled.extend(
                (members[member], reason.decode()) for member, reason in rows(reply.cancelled, 2)
            )

    def _extend(self, queue: str, members: list[bytes], lease_ms: int) -> Any:
        keys = self._keys.queue(queue).named(_EXTEND.keys)
        args = (len(keys), *keys, *_EXTEND.values(members, lease_ms=lease_ms))
        with translated(self._settings):
            try:
                return self._calls.call(keys[0], "EVALSHA", _EXTEND.sha, *args)
            except redis.exceptions.NoScriptError:
                return self._calls.call(keys[0], "EVAL", _EXTEND.text, *args)

    def close(self) -> None:
        self._calls.close()
