"""A script that raises has taken nothing away, whatever stands in its arguments and its keys."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import pytest
import redis

from asyncjobs.brokers.redis.arguments import packed_rules
from asyncjobs.brokers.redis.declaration import read_declaration
from asyncjobs.brokers.redis.scripts import load
from asyncjobs.brokers.redis.source import read_script
from asyncjobs.core.grouping import fixed_group
from asyncjobs.core.limits import QueueLimit, QueueRules, Rate
from asyncjobs.core.lines import line_key
from asyncjobs.core.record.envelope import Envelope, encode
from asyncjobs.core.record.header import COMPLETED, encode_header, flow_key
from tests.brokers.test_scripts import KEYS, NAMES, run
from tests.servers import Server

BODY = encode(Envelope())
RECORD = encode_header("work", 2, flow_key("key"), "acme") + BODY
ENDED = encode_header("work", 2, flow_key("key"), "acme", False, COMPLETED) + BODY
LINED = encode_header("work", 2, line_key("acme", ["each=1", "wide"]), "acme") + BODY
TURNED = encode_header("work", 2, line_key("globex", []), "acme") + BODY
GROUP = fixed_group("work", "ValueError", "no")
NEVER = 10**12
_WIDE = QueueLimit(9, Rate(9, per=3_600))
RULES = packed_rules(QueueRules(gates={"wide": _WIDE, "each": QueueLimit(1)}, weights={"acme": 2.0}, by_time=True))

# What only counts, or is only cleaned up.
_SECONDARY = (b"stats", b"history", b"minute", b"cancels", b"numbers", b"tenant", b"group")


class Call(NamedTuple):
    """The values of a script's tables, and its arguments."""

    tables: list[list[Any]]
    args: dict[str, Any]


@pytest.fixture
def client(running: Server) -> Iterator[redis.Redis]:
    client = running.client()
    yield client
    client.close()


def rows(name: str, table: str, *values: dict[str, Any]) -> list[Any]:
    return list(itertools.chain.from_iterable(load(name).rows[table](**one) for one in values))


def enqueue(client: redis.Redis, *ids: str, when: str = "", record: bytes = RECORD) -> None:
    run(client, "enqueue", rows("enqueue", "job", *({"id": one, "when": when, "record": record} for one in ids)))


CLAIM = {
    "worker": "w",
    "keep_number": False,
    "sent_at": 0,
    "ahead": 0,
    "lowest_first": False,
    "any_name": False,
    "most_bytes": 1_000_000,
    "suspects": 9,
    "last_one": True,
    "max_deaths": 3,
    "kept_names": "",
}


def claim(client: redis.Redis, number: int, limit: int, known: list[str]) -> dict[str, str]:
    args = CLAIM | {"number": number, "limit": limit, "lease_ms": 60_000, "timer_ms": 0}
    [part] = run(client, "claim", known, **args)  # type: ignore[misc, arg-type]
    return {one.decode(): f"{part[3]}:2:{one.decode()}" for one in part[4][::3]}


def settled(member: str, verdict: str, **given: Any) -> dict[str, Any]:
    value = ENDED if verdict in "cx" else b"1:0:\x90"
    bucket = GROUP if verdict == "d" else 3
    row = {"ms": 60_000, "duration_us": 1_000, "bucket": bucket, "entry": b"entry", "tenant": "acme", "name": "work"}
    return row | {"member": member, "id": member.split(":", 2)[2], "verdict": verdict, "value": value} | given


def fill(client: redis.Redis) -> dict[str, str]:
    """Bring jobs into every place; return the members of those that are leased."""
    client.flushall()
    enqueue(client, "dead-1", "dead-2", "ended", "deleted-1", "deleted-2")
    members = claim(client, 1, 5, ["work"])
    verdicts = {"dead-1": "d", "dead-2": "d", "ended": "c", "deleted-1": "d", "deleted-2": "c"}
    settlements = rows("settle", "job", *(settled(members[one], verdicts[one]) for one in members))
    run(client, "settle", settlements, has_unique=True)
    run(client, "delete", ["deleted-1", "deleted-2"], keep_ms=60_000, deletion=1)
    enqueue(client, "parked", record=encode_header("other", 2) + BODY)
    claim(client, 2, 1, ["work"])
    enqueue(client, "leased-1", "leased-2", "leased-3", "leased-4")
    members = claim(client, 3, 4, ["work"])
    run(client, "cancel", ["leased-4"], reason="why", keep_ms=60_000)
    run(client, "declare", limit="9 9 1000 2", packed=RULES)
    run(client, "limit", gate="wide", given="9 9 1000 2", by="ada", keep="")
    enqueue(client, "lined-1", "lined-2", "lined-3", record=LINED)
    # The second and the third wait for the gate of the first.
    lined = claim(client, 4, 2, ["work"])
    enqueue(client, "turned-1", "turned-2", record=TURNED)
    client.hset(KEYS.of("flow", "closed"), "other", "1 2")
    enqueue(client, "gone", "ready-1", "ready-2")
    run(client, "cancel", ["gone"], reason="why", keep_ms=60_000)
    enqueue(client, "due")
    client.lrem(KEYS.ready[2], 0, "due")
    client.zadd(KEYS.scheduled, {"2:due": 1})
    enqueue(client, "later-1", "later-2", when="+60000")
    for one in members:
        run(client, "find", id=one, watches=True)
    emission = {"member": members["leased-1"], "number": 1, "skipped": 0, "count": 1}
    run(client, "emit", rows("emit", "emission", emission), ["event"], max_events=10, keep_ms=60_000)
    for one in ("nightly", "hourly"):
        run(client, "schedule_put", id=one, data="data", next_tick=1)
    run(client, "hold", label="t:else", holds=True, by="ada", why="a test")
    holders = {"key": "0 1 leased-1", "later": "0 1 later-1", "window": f"{NEVER * 10} 1 ended", "old": "1 1 ended"}
    client.hset(KEYS.unique, mapping=holders)
    # All leases have lapsed, and recovery has looked at them lately.
    client.zadd(KEYS.leased, dict.fromkeys([*members.values(), *lined.values()], 1))
    client.hset(KEYS.cfg, mapping={"recovered_at": client.time()[0] * 1_000, "recover_from": 0})
    return members


def calls(members: dict[str, str]) -> dict[str, Call]:
    """Return a call of each script that has something to do."""
    verdicts = [settled(member, verdict) for member, verdict in zip(members.values(), "crdl", strict=True)]
    firings = [
        {"id": one, "expected": 1, "next_tick": NEVER, "last": 1, "count": 1, "overlaps": one == "hourly"}
        for one in ("nightly", "hourly")
    ]
    jobs = [{"id": f"{one}@1", "record": RECORD, "mode": "e", "within": 0} for one in ("nightly", "hourly")]
    unique = [
        {
            "id": f"unique-{number}",
            "when": "+5",
            "record": encode_header("work", 2, flow_key(key), "acme") + BODY,
            "mode": mode,
            "within": 5,
            "at_most": 10,
        }
        for number, (key, mode) in enumerate((("key", "e"), ("later", "d"), ("new", "S"), ("new", "S"), ("", "")))
    ]
    emissions = [
        {"member": members[one], "number": 2, "skipped": 0, "count": 2} for one in ("leased-2", "leased-1", "leased-3")
    ]
    sent = [
        {"id": "new-1", "when": "", "record": RECORD},
        {"id": "new-4", "when": "", "record": LINED},
        {"id": "new-5", "when": "", "record": TURNED},
        {"id": "new-2", "when": "+5", "record": RECORD},
        {"id": "new-3", "when": "@99999999999999", "record": RECORD},
    ]
    claimed = CLAIM | {"number": 9, "limit": 9, "lease_ms": 1_000, "timer_ms": 1_000}
    run_row = {"name": "work", "succeeded": 1, "failed": 0, "retried": 0, "cancelled": 0, "run_us": 5}
    run_row |= {"runs": msgspec.msgpack.encode([1, 2]), "waits": msgspec.msgpack.encode([])}
    return {
        "begin_gauges": Call([], {}),
        "cancel": Call([["ready-1", "later-1", "leased-1", "parked"]], {"reason": "why", "keep_ms": 60_000}),
        "claim": Call([["nothing", "work"]], claimed),
        "count_dead": Call([], {"tenant": "acme", "group": "", "since_ms": 0, "until_ms": 0}),
        "count_runs": Call([rows("count_runs", "run", run_row)], {}),
        "dead_groups": Call([], {}),
        "declare": Call([], {"limit": "3 0 0 0", "packed": b""}),
        "delete": Call([["dead-1", "ended", "dead-2"]], {"keep_ms": 60_000, "deletion": 1}),
        "edit": Call([], {"id": "ready-1", "priority": "1", "when": "+60000"}),
        "emit": Call([rows("emit", "emission", *emissions), list("abcdef")], {"max_events": 10, "keep_ms": 1_000}),
        "enqueue": Call([rows("enqueue", "job", *sent)], {}),
        "enqueue_unique": Call([rows("enqueue_unique", "job", *unique)], {}),
        "extend": Call([list(members.values())], {"lease_ms": 60_000}),
        "find": Call([], {"id": "leased-1", "watches": True}),
        "forget": Call([], {"id": "ended"}),
        "forget_deleted": Call([["deleted-1", "nobody"]], {}),
        "forget_queue": Call([], {}),
        "locate": Call([], {"id": "ready-1"}),
        "hold": Call([], {"label": "n:other", "holds": True, "by": "", "why": ""}),
        "gates": Call([], {}),
        "limit": Call([], {"gate": "wide", "given": "5 9 1000 2", "by": "ada", "keep": "rate"}),
        "mark_group": Call([], {"group": GROUP[:16].decode(), "state": "seen", "note": "why"}),
        "overview": Call([], {}),
        "page": Call(
            [],
            {
                "place": "ready",
                "after": "",
                "limit": 10,
                "tenant": "",
                "most_bytes": 1_000_000,
                "until_ms": 0,
                "group": "",
            },
        ),
        "prune": Call([], {"keep_ms": 0, "max_dead": 1, "limit": 10}),
        "read_events": Call([], {"id": "leased-1", "after": 0, "limit": 10}),
        "reclaim": Call([], {"worker": "w", "number": 3, "lease_ms": 60_000, "most_bytes": 2 * len(RECORD)}),
        "recover": Call([], {"lease_ms": 60_000, "max_deaths": 1, "limit": 10}),
        "retry": Call([["dead-1", "dead-2"]], {"delay_ms": 0, "spread_ms": 1_000}),
        "ring": Call([], {}),
        "sample": Call([], {"place": "ready", "limit": 10}),
        "scan": Call(
            [["junk"]],
            {
                "place": "ready",
                "after": "",
                "limit": 9,
                "most": 9,
                "job_name": "",
                "tenant": "",
                "most_bytes": 1_000_000,
            },
        ),
        "runs": Call([], {"count": 5, "skip": 0, "one": False, "job_name": ""}),
        "keep_gauges": Call([], {"gauges": msgspec.msgpack.encode([1] * 12), "arrived": 7}),
        "schedule_fire": Call([rows("schedule_fire", "firing", *firings), rows("schedule_fire", "job", *jobs)], {}),
        "schedule_list": Call([], {}),
        "schedule_move": Call([], {"id": "nightly", "next_tick": ""}),
        "schedule_put": Call([], {"id": "weekly", "data": "data", "next_tick": NEVER}),
        "schedule_remove": Call([], {"id": "nightly"}),
        "series": Call([], {"hours": False, "count": 5, "skip": 0}),
        "settle": Call([rows("settle", "job", *verdicts)], {"has_unique": True}),
        "undelete": Call([["deleted-1", "deleted-2", "nobody"]], {}),
        "tenants": Call([], {"minute": 0, "tenant": "", "limit": 10}),
        "turns": Call([], {"limit": 10}),
        "unpark": Call([["other"]], {"grace_ms": 1_000, "limit": 10, "kept_names": ""}),
    }


def snapshot(client: redis.Redis) -> dict[bytes, Any]:
    return {key: client.dump(key) for key in client.scan_iter()}


def raises(client: redis.Redis, name: str, call: Call) -> bool:
    """Run a script, and return whether it raised; if it did, it has changed nothing."""
    before = snapshot(client)
    try:
        run(client, name, *call.tables, **call.args)
    except redis.ResponseError:
        assert snapshot(client) == before
        return True
    return False


def other_type(client: redis.Redis, key: bytes) -> None:
    client.delete(key)
    client.sadd(key, "junk")


def other_values(client: redis.Redis, key: bytes) -> None:
    match client.type(key):
        case b"hash":
            client.hset(key, mapping=dict.fromkeys(client.hkeys(key), "junk"))
        case b"zset":
            client.zadd(key, {"junk": "-inf", "9:junk": "-inf", "1e17:9:junk": "inf"})
        case b"list":
            client.lpush(key, "junk")
        case b"string":
            client.set(key, "junk")


def far_values(client: redis.Redis, key: bytes) -> None:
    match client.type(key):
        case b"hash":
            client.hset(key, mapping=dict.fromkeys(client.hkeys(key), 2**63 - 1))
        case b"zset":
            client.zadd(key, dict.fromkeys(client.zrange(key, 0, -1), 1e17))


@pytest.mark.parametrize("spoil", [other_type, other_values, far_values])
@pytest.mark.parametrize("name", NAMES)
def test_a_script_that_raises_for_what_stands_in_a_key_has_changed_nothing(
    client: redis.Redis, name: str, spoil: Callable[[redis.Redis, bytes], None]
) -> None:
    fill(client)
    script = load(name)
    declared = {key.encode() for key in KEYS.named(script.keys)}
    for key in sorted(declared | set(client.scan_iter())):
        call = calls(fill(client))[name]
        spoil(client, key)
        raises(client, name, call)


@pytest.mark.parametrize("given", ["nan", "-inf", "1e17", "-1", "junk"])
@pytest.mark.parametrize("name", NAMES)
def test_a_script_that_raises_for_an_argument_has_changed_nothing(client: redis.Redis, name: str, given: str) -> None:
    script = load(name)
    call = calls(fill(client))[name]
    for at in range(len(script.values(*call.tables, **call.args))):
        call = calls(fill(client))[name]
        values = script.values(*call.tables, **call.args)
        values[at] = given
        before = snapshot(client)
        keys = KEYS.named(script.keys)
        try:
            client.eval(script.text, len(keys), *keys, *values)
        except redis.ResponseError:
            assert snapshot(client) == before, at


@pytest.mark.parametrize("given", [10**17, 10**400, "inf", "nan", -1, "1e17"])
@pytest.mark.parametrize("name", NAMES)
def test_no_number_is_refused_that_a_script_declares_as_one(client: redis.Redis, name: str, given: Any) -> None:
    declared = read_declaration(read_script(name))
    for field in declared.args:
        if field.kind in ("int", "ms"):
            call = calls(fill(client))[name]
            assert not raises(client, name, Call(call.tables, call.args | {field.name: given})), field


def test_a_settlement_holds_where_figures_and_histories_can_not_be_written(client: redis.Redis) -> None:
    for spoil in (other_type, other_values, far_values):
        members = fill(client)
        for key in list(client.scan_iter()):
            if any(word in key.split(b"}:")[1] for word in _SECONDARY):
                spoil(client, key)
        assert run(client, "settle", *calls(members)["settle"].tables, has_unique=True) == b"1111"
        assert client.get(KEYS.of("job", "leased-1")) == ENDED
        assert [one.split(b":")[2] for one in client.zrange(KEYS.leased, 0, -1)] == [b"lined-1"]
        assert client.zscore(KEYS.dead, "leased-3") is not None


def test_a_lease_that_can_not_be_read_is_passed_over_by_recovery(client: redis.Redis) -> None:
    fill(client)
    client.zadd(KEYS.leased, {"junk": 0, "7:8": 0})
    recovered, dead, cancelled = run(client, "recover", lease_ms=60_000, max_deaths=9, limit=10)  # type: ignore[misc]
    expected = {b"leased-1", b"leased-2", b"leased-3", b"lined-1"}
    assert (set(recovered), dead, cancelled) == (expected, [], [b"leased-4"])
    assert client.zcard(KEYS.leased) == 0


@pytest.mark.parametrize(("extension", "is_early"), [(b"e", True), (b"xe\0", True), (b"\0home", False)])
def test_a_letter_of_the_extension_counts_only_before_a_nul(
    client: redis.Redis, extension: bytes, is_early: bool
) -> None:
    client.flushall()
    enqueue(client, "one", record=b"1-2" + bytes((4, 0, 0, len(extension))) + b"work" + extension + BODY)
    [member] = claim(client, 1, 1, ["work"]).values()
    client.zadd(KEYS.leased, {member: 1})
    client.hset(KEYS.cfg, mapping={"recovered_at": client.time()[0] * 1_000, "recover_from": 0})
    recovered, dead, _ = run(client, "recover", lease_ms=60_000, max_deaths=9, limit=10)  # type: ignore[misc]
    assert (recovered, dead) == (([], [b"one"]) if is_early else ([b"one"], []))
