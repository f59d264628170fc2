"""What a server says of itself, and which of the commands that are needed its user may call."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import asyncjobs.brokers.redis
from asyncjobs import App
from asyncjobs.brokers.redis.permissions import permission_questions
from tests.apps import broker_of
from tests.servers import Server, cluster, cluster_url, replicated, server

pytestmark = pytest.mark.anyio


async def test_a_server_tells_its_memory_policy_persistence_and_clock(redis_server: Server) -> None:
    client = redis_server.client()
    client.config_set("save", "60 1000")
    client.config_set("maxmemory", 100 << 20)
    async with App(redis_server.url) as app:
        state = await broker_of(app).server()
    client.config_set("maxmemory", 0)
    client.config_set("save", "")
    client.close()
    [node] = state.nodes
    assert state.kind == "redis"
    assert node.address in redis_server.url
    assert re.fullmatch(r"(Redis|Valkey) \d+\.\d+\.\d+", node.version)
    assert 0 < node.memory < node.max_memory == 100 << 20
    assert (node.role, node.policy, node.persistence) == ("primary", "noeviction", ("rdb",))
    assert not node.persistence_failed
    assert node.clients >= 1
    assert 0 < node.latency_ms < 10_000
    assert abs(node.clock_skew_ms) <= node.latency_ms + 1


async def test_an_append_only_file_and_no_persistence_are_told_apart() -> None:
    with server(None, "--appendonly", "yes") as one:
        async with App(one.url) as app:
            [node] = (await broker_of(app).server()).nodes
            assert "aof" in node.persistence
    with server() as one:
        async with App(one.url) as app:
            [node] = (await broker_of(app).server()).nodes
            assert node.persistence == ()


async def test_the_commands_that_the_user_may_not_call_are_told(redis_server: Server) -> None:
    client = redis_server.client()
    client.execute_command(
        "ACL", "SETUSER", "narrow", "on", ">secret", "~*", "&*", "+@all", "-xadd", "-hincrby", "-config"
    )
    try:
        async with App(redis_server.url.replace("redis://", "redis://narrow:secret@")) as app:
            [node] = (await broker_of(app).server()).nodes
            assert node.refused == ("HINCRBY", "XADD")
        # Nothing was written to find out.
        assert client.keys("*permission*") == []
    finally:
        client.execute_command("ACL", "DELUSER", "narrow")
        client.close()


async def test_replicas_are_counted() -> None:
    with replicated(1) as (primary, _):
        async with App(primary.url) as app:
            [node] = (await broker_of(app).server()).nodes
            assert (node.replicas, node.replicas_lagging) == (1, 0)


async def test_a_cluster_tells_each_of_its_primaries() -> None:
    with cluster() as nodes:
        async with App(cluster_url(nodes)) as app:
            state = await broker_of(app).server()
    assert state.kind == "cluster"
    assert len({node.address for node in state.nodes}) == 3
    assert all(node.refused == () for node in state.nodes)


def test_each_command_that_a_script_calls_is_among_those_that_are_asked_for() -> None:
    folder = Path(asyncjobs.brokers.redis.__file__).parent
    called = {
        command
        for path in folder.rglob("*.lua")
        for command in re.findall(r"redis\.p?call\('([A-Z]+)'", path.read_text())
    }
    sent = {
        command
        for path in folder.glob("*.py")
        for command in re.findall(r'_command\("([A-Z]+)"|\(\(?"([A-Z]+)", key', path.read_text())
        for command in command
        if command
    }
    assert len(called) > 30
    # What belongs to a connection is allowed to each user.
    assert (called | sent) - {"ASKING"} <= set(permission_questions("key", "channel"))
