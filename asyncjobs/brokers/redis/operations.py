"""What was done by hand, how jobs are defined, and the state of the server, on Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import redis.exceptions

from asyncjobs.brokers.redis.connection import translated
from asyncjobs.brokers.redis.node import Node, raise_first
from asyncjobs.brokers.redis.permissions import permission_questions
from asyncjobs.brokers.redis.replies import rows
from asyncjobs.brokers.redis.session import Session
from asyncjobs.core.record.version import DECODING_ERRORS
from asyncjobs.core.retention import MAX_AUDITS, MAX_CATALOGUE, MAX_DEPLOYS
from asyncjobs.ports import AuditRecord, CatalogueEntry, ServerNode, ServerState

__all__ = ["RedisOperations"]

_FIELD = b"r"

_KINDS = {"single": "redis", "sentinel": "sentinel", "cluster": "cluster"}

_encode = msgspec.msgpack.Encoder().encode
_audits = msgspec.msgpack.Decoder(AuditRecord)
_entries = msgspec.msgpack.Decoder(CatalogueEntry)


class RedisOperations(Session):
    """A ``ports.Operations``."""

    async def audit(self, record: AuditRecord) -> None:
        await self._command("XADD", self._keys.audit, "MAXLEN", "~", MAX_AUDITS, "*", _FIELD, _encode(record))

    async def audits(self, before: str, limit: int) -> list[AuditRecord]:
        if limit < 1:
            return []
        until = f"({before}" if before else "+"
        found = []
        for stored_id, fields in await self._command("XREVRANGE", self._keys.audit, until, "-", "COUNT", limit):
            record_id = stored_id.decode()
            at_ms = int(record_id.partition("-")[0])
            try:
                record = _audits.decode(dict(rows(fields, 2))[_FIELD])
            except (*DECODING_ERRORS, KeyError):
                # Of a newer asyncjobs. It stays in the list, since it is what the next page comes after.
                record = AuditRecord(by="?", via="?", verb="?")
            found.append(msgspec.structs.replace(record, id=record_id, at_ms=at_ms))
        return found

    async def publish_catalogue(self, entries: Sequence[CatalogueEntry]) -> None:
        if not entries:
            return
        key = self._keys.catalogue
        known = await self._command("HMGET", key, *(entry.name for entry in entries))
        encoded = [(entry.name, _encode(entry), before) for entry, before in zip(entries, known, strict=True)]
        changed = [(name, entry, before) for name, entry, before in encoded if entry != before]
        room = MAX_CATALOGUE
        if any(before is None for _, _, before in changed):
            room -= await self._command("HLEN", key)
        values: list[Any] = []
        for name, entry, before in changed:
            room -= before is None
            if before is not None or room >= 0:
                values += (name, entry)
        if values:
            await self._command("HSET", key, *values)

    async def catalogue(self) -> Mapping[str, CatalogueEntry]:
        found = {}
        for name, stored in rows(await self._command("HGETALL", self._keys.catalogue), 2):
            try:
                found[name.decode()] = _entries.decode(stored)
            except DECODING_ERRORS:
                # Of a newer asyncjobs.
                continue
        return found

    async def note_deploy(self, deploy: str, began_ms: int) -> None:
        key = self._keys.deploys
        await self._command("ZADD", key, "LT", began_ms, deploy)
        await self._command("ZREMRANGEBYRANK", key, 0, -MAX_DEPLOYS - 1)

    async def deploys(self) -> Mapping[str, int]:
        stored = await self._command("ZRANGE", self._keys.deploys, 0, -1, "WITHSCORES")
        return {name.decode(): int(began_ms) for name, began_ms in rows(stored, 2)}

    async def server(self) -> ServerState:
        with translated(self._settings):
            nodes = await self._links.nodes()
            states = await asyncio.gather(*(self._state_of(node) for node in nodes), return_exceptions=True)
            found = [one for one in states if isinstance(one, ServerNode)]
            if not found:
                raise_first(states)
        return ServerState(kind=_KINDS[self._settings.mode], nodes=tuple(found))  # type: ignore[arg-type]

    async def _state_of(self, node: Node) -> ServerNode:
        """Return the state of one server."""
        # Once before, so that the connection is there.
        info = await node.info()
        began = time.time()
        seconds, micros = await node.commands.call("TIME")
        ended = time.time()
        config, *is_refused = await node.commands.send([("CONFIG", "GET", "save"), ("MULTI",), ("DISCARD",)])
        questions = permission_questions(self._keys.meta, self._keys.queue("x").ended_channel)
        if any(isinstance(one, redis.exceptions.NoPermissionError) for one in is_refused):
            # Without a transaction the commands would be carried out.
            questions = {name: (name,) for name in ("MULTI", "DISCARD")}
        answers = await node.commands.send([*questions.values()])
        refused = [
            name
            for name, answer in zip(questions, answers, strict=True)
            if isinstance(answer, redis.exceptions.NoPermissionError)
        ]
        replicas = [value for name, value in info.items() if name.startswith("slave") and "state=" in value]
        return ServerNode(
            address=node.address,
            version=_version(info),
            role="replica" if info.get("role") == "slave" else "primary",
            replicas=len(replicas),
            replicas_lagging=sum("state=online" not in one for one in replicas),
            memory=int(info.get("used_memory", 0)),
            max_memory=int(info.get("maxmemory", 0)),
            policy=info.get("maxmemory_policy", "noeviction"),
            persistence=_persistence(info, config),
            persistence_failed=_has_failed(info),
            saved_at_ms=int(info["rdb_last_save_time"]) * 1000 if "rdb_last_save_time" in info else None,
            clients=int(info.get("connected_clients", 0)),
            uptime_ms=int(info.get("uptime_in_seconds", 0)) * 1000,
            latency_ms=round((ended - began) * 1000, 3),
            clock_skew_ms=round((int(seconds) + int(micros) / 1e6 - (began + ended) / 2) * 1000),
            refused=tuple(refused),
        )


def _version(info: Mapping[str, str]) -> str:
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info.get('redis_version', '?')}"


def _persistence(info: Mapping[str, str], config: Any) -> Any:
    """Return how a server keeps its data; ``config`` is its reply to ``CONFIG GET save``, which it may refuse."""
    found = ["aof"] if info.get("aof_enabled") == "1" else []
    if isinstance(config, list) and len(config) == 2:
        has_snapshots = bool(config[1])
    else:
        started_s = time.time() - int(info.get("uptime_in_seconds", 0))
        has_snapshots = int(info.get("rdb_last_save_time", 0)) > started_s + 1
    return (*found, "rdb") if has_snapshots else tuple(found)


def _has_failed(info: Mapping[str, str]) -> bool:
    names = ["rdb_last_bgsave_status"]
    if info.get("aof_enabled") == "1":
        names += ["aof_last_write_status", "aof_last_bgrewrite_status"]
    return any(info.get(name, "ok") == "err" for name in names)
