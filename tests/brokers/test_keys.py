"""Keys, fields and members that are made of what users choose: no two different choices share one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs import App, ArgumentsError, ConfigurationError, DefinitionError
from asyncjobs.brokers.redis.arguments import hold_of, label_of, lease_member
from asyncjobs.brokers.redis.keys import FAMILIES, KEY_NAMES, Family, GlobalKeys
from asyncjobs.brokers.redis.source import read_script
from asyncjobs.core.options import checked_id, checked_queue, checked_tenant
from asyncjobs.ports import Hold, Lease
from asyncjobs.settings import load_settings
from tests.servers import Server

# What the names and the separators of the broker are made of, so that what is joined looks alike.
PIECES = (
    "a",
    "b",
    ":",
    "::",
    "0",
    "1",
    "name:",
    "tenant:",
    "worker",
    "meta",
    "job:",
    "parked",
    "@",
    "-",
    "d:",
    "{",
    "}",
    " ",
)
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join)


def accepted(check: Callable[[str], object]) -> st.SearchStrategy[str]:
    """Return texts that users may choose, by the check that stands before the broker."""

    def passes(text: str) -> bool:
        try:
            check(text)
        except (ArgumentsError, ConfigurationError, DefinitionError):
            return False
        return True

    return TEXTS.filter(passes)


def define(name: str) -> None:
    @App("memory://").job(name=name)
    def work() -> None: ...


PREFIXES = accepted(lambda text: load_settings("memory://", {"prefix": text}, {}))
QUEUES = accepted(checked_queue)
IDS = accepted(lambda text: checked_id("job_id", text))
TENANTS = accepted(checked_tenant)
NAMES = accepted(define)
HOLDS = st.one_of(
    st.just(Hold("queue")), st.builds(Hold, st.just("name"), NAMES), st.builds(Hold, st.just("tenant"), TENANTS)
)


class Choice(NamedTuple):
    """What a key is made of."""

    prefix: str
    queue: str
    family: str
    part: object = ""

    def key(self) -> str:
        keys = GlobalKeys(self.prefix)
        if self.family == "worker":
            return keys.worker(str(self.part))
        if self.family in ("meta", "queues", "workers"):
            return str(getattr(keys, self.family))
        of_queue = keys.queue(self.queue)
        if self.family in FAMILIES:
            family: Family = self.family
            return of_queue.of(family, label_of(self.part) if isinstance(self.part, Hold) else str(self.part))
        if self.family == "ready":
            return of_queue.ready[int(str(self.part))]
        return str(getattr(of_queue, self.family))


PARTS: dict[str, st.SearchStrategy[object]] = {
    "cancel_news": TEXTS,
    "claim": TEXTS,
    "events": IDS,
    "job": IDS,
    "minute": st.integers(0, 9),
    "name_history": NAMES,
    "parked_jobs": HOLDS,
    "tenant_dead": TENANTS,
    "tenant_history": TENANTS,
    "tenant_stats": TENANTS,
    "ready": st.integers(0, 3),
    "worker": TEXTS,
}
OF_QUEUES = [*FAMILIES, *KEY_NAMES, "barrier", "ended_channel"]
CHOICES = st.one_of(
    *(st.builds(Choice, PREFIXES, QUEUES, st.just(one), PARTS.get(one, st.just(""))) for one in OF_QUEUES),
    *(
        st.builds(Choice, PREFIXES, st.just(""), st.just(one), PARTS.get(one, st.just("")))
        for one in ("meta", "queues", "workers", "worker")
    ),
)


@given(CHOICES, CHOICES)
def test_no_two_choices_share_a_key(one: Choice, other: Choice) -> None:
    assert (one.key() == other.key()) == (one == other)


def joined(count: int) -> list[str]:
    texts = ("".join(some) for size in range(1, count + 1) for some in itertools.product(PIECES, repeat=size))
    return list(dict.fromkeys(texts))


def allowed(check: Callable[[str], object], texts: Iterable[str]) -> list[str]:
    found = []
    for text in texts:
        try:
            check(text)
        except (ArgumentsError, ConfigurationError, DefinitionError):
            continue
        found.append(text)
    return found


def test_no_key_of_one_app_is_a_key_of_another() -> None:
    prefixes = ["a", "a:worker", "a:worker:worker", "a:worker:meta", "a:queues"]
    ids = ["a", "meta", "queues", "workers", "worker:a", "worker:meta", "{}:worker:a"]
    keys = [
        key
        for prefix in prefixes
        for made in [GlobalKeys(prefix)]
        for key in (made.meta, made.queues, made.workers, *map(made.worker, ids))
    ]
    assert len(keys) == len(set(keys))


def test_no_two_holds_share_a_label() -> None:
    texts = joined(2)
    holds = [Hold("queue"), *(Hold("name", one) for one in allowed(define, texts))]
    holds += [Hold("tenant", one) for one in allowed(checked_tenant, texts)]
    labels = {label_of(hold): hold for hold in holds}
    assert len(labels) == len(holds)
    assert all(hold_of(label) == hold for label, hold in labels.items())


@given(*[st.builds(Lease, st.just("queue"), IDS, st.integers(0, 3), st.integers(1, 99))] * 2)
def test_no_two_leases_share_a_member(one: Lease, other: Lease) -> None:
    assert (lease_member(one) == lease_member(other)) == (one == other)


def lua(server: Server, include: str, body: str, *values: str) -> list[bytes]:
    client = server.client()
    try:
        return client.eval(f"{read_script(f'include/{include}')}\n{body}", 0, *values)
    finally:
        client.close()


@pytest.fixture(scope="module")
def ids() -> list[str]:
    return allowed(lambda text: checked_id("job_id", text), joined(2))


def test_no_two_entries_that_no_longer_count_share_a_field(redis_server: Server, ids: list[str]) -> None:
    labels = [label_of(Hold("name", one)) for one in ("a", "a:b", "0", "name:a", "tenant:a")]
    labels += [label_of(Hold("tenant", one)) for one in ("a", "a b", "a 0", "b a name:a", "name:a 0")]
    body = """
        local fields, number = {}, tonumber(ARGV[1])
        for n = 2, number + 1 do
          for priority = 0, 3 do fields[#fields + 1] = gone_field(priority, ARGV[n]) end
          for at = number + 2, #ARGV do fields[#fields + 1] = gone_field(ARGV[at], ARGV[n]) end
        end
        return fields
    """
    fields = lua(redis_server, "gone", body, str(len(ids)), *ids, *labels)
    assert len(set(fields)) == len(fields) == len(ids) * (4 + len(labels))


def test_no_two_scheduled_jobs_share_a_member_and_each_is_read_back(redis_server: Server, ids: list[str]) -> None:
    body = """
        local members = {}
        for _, id in ipairs(ARGV) do
          for priority = 0, 3 do
            local dues = {}
            put_off(dues, 1, priority, id)
            members[#members + 1] = dues[2]
          end
        end
        return members
    """
    members = lua(redis_server, "due", body, *ids)
    assert [member.decode() for member in members] == [f"{priority}:{one}" for one in ids for priority in range(4)]
    assert len(set(members)) == len(members)
