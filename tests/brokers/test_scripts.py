"""The scripts of the Redis broker: what they declare, how Python calls them, and the rules that each of them keeps."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import AsyncIterator, Iterator
from importlib import resources
from pathlib import Path

import pytest
import redis

from asyncjobs.brokers.redis.declaration import Field, Table, read_declaration
from asyncjobs.brokers.redis.keys import FAMILIES, KEY_NAMES, QueueKeys
from asyncjobs.brokers.redis.prelude import prelude, with_rows
from asyncjobs.brokers.redis.scripts import Script, Value, load
from asyncjobs.brokers.redis.source import parts_of, read_script, with_literals, with_rare, without_unused
from asyncjobs.testing.conformance import BrokerConformance
from tests.conformance.kits import RedisKit
from tests.servers import Server

FOLDER = Path(str(resources.files("asyncjobs.brokers.redis") / "lua"))
NAMES = sorted(path.stem for path in FOLDER.glob("*.lua"))
INCLUDES = sorted((FOLDER / "include").glob("*.lua"))

LUA_NAMES = set(
    re.findall(
        r"\w+",
        "and break do else elseif end false for function if in local nil not or repeat return then true until while "
        "cmsgpack ipairs math next pairs pcall redis select setmetatable string table tonumber tostring type unpack "
        "KEYS ARGV",
    )
)
KEYS = QueueKeys("asyncjobs", "numbers")


@pytest.fixture
def client(running: Server) -> Iterator[redis.Redis]:
    client = running.client()
    client.flushall()
    yield client
    client.close()


def run(client: redis.Redis, name: str, *tables: list[str | bytes | int], **args: str | bytes | int) -> object:
    script = load(name)
    keys = KEYS.named(script.keys)
    return client.eval(script.text, len(keys), *keys, *script.values(*tables, **args))


def code(text: str) -> str:
    """Return Lua without comments and without what stands in quotes."""
    return re.sub(r"'[^'\n]*'", "''", re.sub(r"--.*", "", text))


# -- what the files say


@pytest.mark.parametrize("path", [*FOLDER.glob("*.lua"), *INCLUDES], ids=lambda path: path.stem)
def test_a_script_names_neither_keys_nor_arguments_by_position(path: Path) -> None:
    assert not re.search(r"\b(KEYS|ARGV)\b", code(path.read_text()))
    assert max(map(len, path.read_text().splitlines())) <= 120


@pytest.mark.parametrize("name", NAMES)
def test_a_script_says_what_it_does_what_it_replies_and_what_it_costs(name: str) -> None:
    text = (FOLDER / f"{name}.lua").read_text()
    assert text.startswith(f"-- {name}: ")
    assert re.search(r"^--(- @reply| reply) ", text, re.MULTILINE)
    assert re.search(r"^-- cost  ", text, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_a_script_uses_all_that_it_declares_under_names_that_mean_nothing_else_in_lua(name: str) -> None:
    text = (FOLDER / f"{name}.lua").read_text()
    whole = read_script(name)
    declared = read_declaration(whole)
    bound = re.findall(r"--- @row (\w+) \w+: (.*)", text)
    for field in declared.args:
        assert re.search(rf"\b{field.name}\b", code(whole)), field
    for table in declared.tables:
        if table.is_list:
            assert re.search(rf"\b{table.name}\b", code(whole)), table
        else:
            columns = ", ".join(columns for name, columns in bound if name == table.name)
            assert set(columns.split(", ")) == {column.name for column in table.columns}
    named = [*declared.args, *declared.tables, *(one for table in declared.tables for one in table.columns)]
    assert not LUA_NAMES.intersection(one.name for one in named)


@pytest.mark.parametrize("name", NAMES)
def test_a_script_calls_no_function_before_it_is_there(name: str) -> None:
    known = set(LUA_NAMES)
    first = load(name).text.partition("\n")[0]
    if first.endswith(" rare, rare_ones"):
        known.update(re.findall(r"\w+", first))
    for found in re.finditer(r"function (?:(\w+))?\(([^)]*)\)|(?<![\w.:])(\w+)\(", code(load(name).text)):
        if found[3]:
            assert found[3] in known
        else:
            known |= {found[1], *found[2].split(", ")}


@pytest.mark.parametrize("path", INCLUDES, ids=lambda path: path.stem)
def test_an_include_holds_only_functions_that_some_script_calls(path: Path) -> None:
    texts = [load(name).text for name in NAMES]
    for function in re.findall(r"^local function (\w+)", path.read_text(), re.MULTILINE):
        assert any(f"local function {function}(" in text for text in texts), function


# -- how they are put together


def test_a_header_declares_arguments_lists_rows_and_the_reply() -> None:
    declared = read_declaration(
        "--- @args reason, limit: int, watches: flag\n--- @list ids\n--- @each job: id, ms: int\n"
        "--- @reply now_ms, jobs\n--- @rare leave, put_off\n--- @rarer take\n"
    )
    assert declared.rare == ["leave", "put_off"]
    assert declared.rarer == ["take"]
    assert declared.args == [Field("reason", ""), Field("limit", "int"), Field("watches", "flag")]
    assert declared.tables == [
        Table("ids", [Field("ids", "")], is_list=True),
        Table("job", [Field("id", ""), Field("ms", "int")], is_list=False),
    ]
    assert [field.name for field in declared.reply] == ["now_ms", "jobs"]


@pytest.mark.parametrize("name", NAMES)
def test_a_program_keeps_no_remark_of_a_script(name: str) -> None:
    remarks = [line for line in read_script(name).splitlines() if re.match(r" *--(?!- @)", line)]
    assert not remarks


@pytest.mark.parametrize("line", ["--- @arguments id", "--- @args id;name", "--- @args id: float"])
def test_a_declaration_that_means_nothing_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="a script declares"):
        read_declaration(line)


def test_functions_that_nothing_calls_are_left_out_with_what_only_they_call() -> None:
    text = """--- @args id
local function inner()
  return 1
end

local function unused()
  return inner() + unused()
end

local function used()
  return 2
end
return used()
"""
    kept = "".join(part.text for part in without_unused(parts_of(text)))
    assert kept == "local function used()\n  return 2\nend\nreturn used()\n"


def test_constants_stand_in_a_script_as_what_they_are_but_not_within_text() -> None:
    text = "local PART = 10\nlocal NEW, OLD = 'n, m', 'o'\nlocal PLACE = {}\nreturn {PART, NEW, 'PART', PLACE, a.OLD}\n"
    assert with_literals(text) == "local PLACE = {}\nreturn {10, 'n, m', 'PART', PLACE, a.OLD}\n"


RARE = """local calls = 0
local function inner(n)
  calls = calls + n
  return calls
end

local function both(n)
  return n
end

local function almost_never(n)
  return inner(both(n))
end

local function seldom(n)
  return n > 2 and almost_never(n) or inner(n)
end

local function often(way)
  return way == 'seldom' and seldom(2) + seldom(3) or both(1)
end
return {often(way), calls}
"""


def test_rare_functions_are_made_with_what_only_they_call_where_one_is_called(client: redis.Redis) -> None:
    text = with_rare(parts_of(RARE), ["seldom"])
    group = text[text.index("function rare()") : text.index("return rare_ones")]
    assert re.findall(r"local function (\w+)", group) == ["inner", "almost_never", "seldom"]
    assert client.eval(f"local way = 'often'\n{text}", 0) == client.eval(f"local way = 'often'\n{RARE}", 0) == [1, 0]
    assert client.eval(f"local way = 'seldom'\n{text}", 0) == client.eval(f"local way = 'seldom'\n{RARE}", 0) == [7, 5]


def test_functions_that_few_of_the_rare_calls_need_are_made_apart(client: redis.Redis) -> None:
    text = with_rare(parts_of(RARE), ["seldom"], ["almost_never"])
    group = text[text.index("function rarer()") : text.index("return rarer_ones")]
    assert re.findall(r"local function (\w+)", group) == ["almost_never"]
    assert client.eval(f"local way = 'seldom'\n{text}", 0) == [7, 5]
    broken = text.replace("function rarer()\n", "function rarer()\nerror('one more')\n")
    assert client.eval(f"local way = 'seldom'\n{broken.replace('seldom(3)', 'seldom(1)')}", 0) == [5, 3]
    with pytest.raises(redis.ResponseError, match="one more"):
        client.eval(f"local way = 'seldom'\n{broken}", 0)


def test_a_rare_function_that_the_script_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"calls \['gone'\] rare"):
        with_rare(parts_of(RARE), ["seldom", "gone"])
    with pytest.raises(ValueError, match=r"calls \['gone'\] rarer"):
        with_rare(parts_of(RARE), ["seldom"], ["gone"])


def test_arguments_reach_lua_under_their_names_also_behind_tables_of_any_length(client: redis.Redis) -> None:
    header = "--- @args first: int, second: flag, third: flag\n--- @each pair: left, right: int\n--- @list words\n"
    body = header + (
        "local found = {first + 1, tostring(second), tostring(third)}\n"
        "for n = 1, pair_rows do\n"
        "  --- @row pair n: right, left\n"
        "  found[#found + 1] = right + 1\n"
        "  found[#found + 1] = left\n"
        "end\n"
        "return {found, words, q.base, q.ready[0], q.ready[3], q.bell, job_key(q, 'id'), DIED_EARLY}\n"
    )
    declared = read_declaration(body)
    body = with_rows(body, declared.tables)
    text = prelude(declared, parts_of(body)) + body
    keys = KEYS.named(("ready", "bell"))
    for rows in ([], ["a", 5], ["a", 5, "b", 6]):
        for words in ([], ["x"], ["x", "y"]):
            reply = client.eval(text, len(keys), *keys, 1, "1", "0", len(rows) // 2, *rows, *words)
            pairs = [one + 1 if isinstance(one, int) else one.encode() for one in rows]
            pairs = [one for left, right in zip(pairs[::2], pairs[1::2], strict=True) for one in (right, left)]
            assert reply[0] == [2, b"true", b"false", *pairs]
            assert reply[1] == [word.encode() for word in words]
    assert [one.decode() for one in reply[2:7]] == [
        "asyncjobs:{numbers}:",
        "asyncjobs:{numbers}:ready:0",
        "asyncjobs:{numbers}:ready:3",
        "asyncjobs:{numbers}:bell",
        "asyncjobs:{numbers}:job:id",
    ]
    assert reply[7].decode().startswith("its worker died")


def test_python_passes_arguments_by_the_names_that_the_script_declares() -> None:
    script = load("cancel")
    assert script.values(["a", "b"], keep_ms=60_000, reason="why") == ["why", 60_000, "a", "b"]
    with pytest.raises(TypeError, match="keep"):
        script.values([], reason="why", keep=1)
    with pytest.raises(TypeError, match="keep_ms"):
        script.values([], reason="why")
    with pytest.raises(ValueError, match="zip"):
        script.values(reason="why", keep_ms=1)
    fire = load("schedule_fire")
    row = fire.rows["firing"](id="nightly", expected=1, next_tick=2, last=1, count=1, overlaps=False)
    job = fire.rows["job"](record=b"r", within=5, id="a", mode="e")
    assert fire.values(row, job) == [1, "nightly", 1, 2, 1, 1, "0", "a", b"r", "e", 5]
    hold = load("hold")
    assert [hold.values(label="queue", holds=holds, by="", why="")[1] for holds in (True, False)] == ["1", "0"]
    assert load("recover").reply([], [b"a"], []).dead == [b"a"]


def test_a_script_that_two_threads_use_at_first_serves_both(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script("cancel")
    found: list[list[Value]] = []

    def use() -> None:
        found.append(script.values(["a", "b"], keep_ms=60_000, reason="why"))

    def set_and_use_meanwhile(one: Script, name: str, value: object) -> None:
        object.__setattr__(one, name, value)
        if threading.current_thread() is threading.main_thread():
            other = threading.Thread(target=use)
            other.start()
            other.join()

    monkeypatch.setattr(Script, "__setattr__", set_and_use_meanwhile, raising=False)
    use()
    assert len(found) > 2
    assert all(one == ["why", 60_000, "a", "b"] for one in found)


def test_every_key_name_is_unlike_every_other() -> None:
    names = [*KEY_NAMES, *(f"ready:{priority}" for priority in range(4)), "barrier", "ended"]
    starts = list(FAMILIES.values())
    assert len({*names, *starts}) == len([*names, *starts])
    for start in starts:
        assert start.endswith(":")
        assert not any(name.startswith(start) for name in [*names, *starts] if name != start)


# -- what single ones do


def test_series_gives_the_counters_of_the_last_minutes_and_of_no_more(client: redis.Redis) -> None:
    seconds, _ = client.time()
    client.hset(KEYS.cfg, "shift_ms", -seconds * 1000 + 600 * 60_000)
    for minute, succeeded in ((600, 3), (598, 2), (597, 1), (239, 9)):
        client.hset(KEYS.of("minute", minute), mapping={"succeeded": succeeded})
    reply = load("series").reply(*run(client, "series", hours=False, count=3, skip=0))
    assert reply.periods == [598, [b"succeeded", b"2"], 600, [b"succeeded", b"3"]]
    assert reply.now_ms // 60_000 == 600
    most = load("series").reply(*run(client, "series", hours=False, count=1_000_000, skip=0))
    assert most.periods[::2] == [597, 598, 600]


# -- the rules that they all keep

# These bring something new, so a full server may refuse them; nothing has been written then.
BRING_NEW = {
    "begin_gauges",
    "count_runs",
    "emit",
    "enqueue",
    "enqueue_unique",
    "keep_gauges",
    "schedule_fire",
    "schedule_move",
    "schedule_put",
}

GUARD = """
local redis = (function(real, keys)
  local declared, wrote, guarded = {}, {}, setmetatable({}, {__index = real})
  for _, key in ipairs(keys) do
    declared[key] = true
  end
  local function is_ours(key)
    for _, start in ipairs({%(starts)s}) do
      if string.sub(key, 1, #start) == start then
        return true
      end
    end
  end
  local reads, shrinks, grows = {%(reads)s}, {%(shrinks)s}, {%(grows)s}
  local function check(how, command, ...)
    local key = ...
    if command ~= 'TIME' and command ~= 'PUBLISH' then
      assert(reads[command] or shrinks[command] or grows[command], 'the guard does not know ' .. command)
      assert(string.sub(key, 1, 9) == 'asyncjobs', command .. ' without a key')
      local base = string.match(key, '^(.*}:)')
      assert(declared[key] or is_ours(string.sub(key, #base + 1)), key .. ' is neither declared nor of a family')
      if reads[command] then
        assert(declared[key] or not wrote[base], command .. ' of a key that is not declared, after a write')
      else
        -- What is refused to pcall leaves the rest to go on.
        local may_be_refused = how == 'pcall' or %(may_grow)s
        assert(wrote[base] or shrinks[command] or may_be_refused, 'the first write, ' .. command .. ', may need memory')
        wrote[base] = wrote[base] or shrinks[command] or how == 'call'
      end
    end
  end
  for _, how in ipairs({'call', 'pcall'}) do
    guarded[how] = function(command, ...)
      check(how, command, ...)
      return real[how](command, ...)
    end
  end
  return guarded
end)(redis, KEYS)
"""
READS = "EXISTS GET GETRANGE HEXISTS HGET HGETALL HKEYS HLEN HMGET LINDEX LLEN LPOS LRANGE MGET PTTL SISMEMBER XRANGE "
READS += "HSCAN HVALS XREVRANGE ZCARD ZCOUNT ZMSCORE ZRANGE ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYSCORE ZSCORE"
SHRINKS = "DEL EXPIRE HDEL LTRIM PERSIST PEXPIRE RENAME ZREM ZREMRANGEBYSCORE"
GROWS = "HINCRBY HSET HSETNX LPUSH MSET RPUSH SADD SET SETRANGE XADD ZADD"


def guarded(name: str) -> str:
    """Return the script behind a guard that refuses a call which breaks a rule."""

    def as_set(words: str) -> str:
        return ", ".join(f"{word} = true" for word in words.split())

    guard = GUARD % {
        "starts": ", ".join(f"'{start}'" for start in FAMILIES.values()),
        "reads": as_set(READS),
        "shrinks": as_set(SHRINKS),
        "grows": as_set(GROWS),
        "may_grow": "true" if name in BRING_NEW else "false",
    }
    return guard + load(name).text


class TestGuarded(BrokerConformance):
    """All that a broker promises, while each script is watched.

    It reads the keys that aren't declared to the server before it writes (in a slot that is being moved, such a read
    raises), it begins with a write that a full server still allows, and touches no key of another kind.
    """

    @pytest.fixture
    async def kit(self, running: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisKit]:
        for name in NAMES:
            text = guarded(name)
            monkeypatch.setattr(load(name), "text", text)
            monkeypatch.setattr(load(name), "sha", hashlib.sha1(text.encode()).hexdigest())
        kit = RedisKit(running)
        await kit.broker.open()
        yield kit
        await kit.broker.close()
        kit.close()
