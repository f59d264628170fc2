"""``JobStore.scan``, ``sample`` and ``locate``: jobs by what stands in them, and what there is in a place."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from asyncjobs.core.priority import Priority
from asyncjobs.ports import Hold, JobLocation, NewJob, Place, ScanPage, ScanRequest
from asyncjobs.testing.conformance.bench import Bench
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Searching"]

_PLACES: list[Place] = ["ready", "scheduled", "running", "parked", "dead"]


async def _scan(bench: Bench, place: Place = "ready", *, limit: int = 100, most: int = 100, **asked: Any) -> ScanPage:
    return await bench.broker.scan(bench.queue, ScanRequest(place=place, limit=limit, most=most, **asked))


async def _scanned(bench: Bench, place: Place = "ready", *, limit: int = 100, **asked: Any) -> list[str]:
    """Scan to the end, and return the ids of all that was found."""
    found: list[str] = []
    after = ""
    for _ in range(1_000):
        page = await _scan(bench, place, limit=limit, after=after, **asked)
        found += [job.id for job in page.jobs]
        after = page.next
        if not after:
            break
    return found


def _with_text(bench: Bench, text: str, **given: Any) -> NewJob:
    """Return a new job with a text among its arguments."""
    job = bench.new(**given)
    return msgspec.structs.replace(job, body=msgspec.msgpack.encode({"a": [text]}))


class Searching(Theme):
    """What ``scan`` and ``sample`` promise."""

    async def test_jobs_are_found_by_a_text_in_their_arguments(self, bench: Bench) -> None:
        await bench.send(count=3)
        [wanted] = await bench.send(_with_text(bench, "user123@example.com"))
        await bench.send(_with_text(bench, "user124@example.com"))
        page = await _scan(bench, needles=[b"user123@"])
        assert ([job.id for job in page.jobs], page.next, page.looked_at) == ([wanted], "", 5)
        assert page.jobs[0].arguments == ["user123@example.com"]
        # A text, not a pattern.
        assert await _scanned(bench, needles=[b"user123."]) == []

    async def test_one_of_several_texts_is_enough_and_an_id_is_one(self, bench: Bench) -> None:
        first, second, third = await bench.send(count=3)
        assert await _scanned(bench, needles=[third.encode(), b"nowhere", first.encode()]) == [first, third]
        assert await _scanned(bench, needles=[b"nowhere"]) == []
        assert await _scanned(bench, needles=[b"wor"]) == [first, second, third]
        assert await _scanned(bench) == [first, second, third]

    async def test_jobs_are_found_by_name_and_by_tenant(self, bench: Bench) -> None:
        sent = await bench.send(
            bench.new("other", tenant="acme"), bench.new(tenant="acme"), bench.new("other"), bench.new("other_one")
        )
        assert await _scanned(bench, name="other") == [sent[0], sent[2]]
        assert await _scanned(bench, tenant="acme") == sent[:2]
        assert await _scanned(bench, name="other", tenant="acme") == sent[:1]
        assert await _scanned(bench, name="other", tenant="globex") == []

    @pytest.mark.parametrize("place", _PLACES)
    async def test_every_place_is_scanned_in_its_order(self, bench: Bench, place: Place) -> None:
        await _fill(bench, place)
        every = await bench.ids_in(place)
        wanted = await _scanned(bench, place, name="other")
        assert wanted == [one for one in every if one in set(wanted)]
        assert len(wanted) == 4
        for limit in (1, 3):
            assert await _scanned(bench, place, limit=limit, name="other") == wanted

    async def test_a_dead_job_is_found_by_its_error(self, bench: Bench) -> None:
        [dead] = await bench.bury()
        await bench.bury()
        [error] = (await _scan(bench, "dead", needles=[dead.encode()])).jobs[0].errors
        assert len(await _scanned(bench, "dead", needles=[error.message.encode()])) == 2

    async def test_a_scan_ends_with_as_many_jobs_as_are_wanted_and_goes_on_behind_them(self, bench: Bench) -> None:
        sent = await bench.send(*(bench.new("other" if number % 2 else "work") for number in range(8)))
        first = await _scan(bench, most=2, name="other")
        assert ([job.id for job in first.jobs], first.looked_at) == ([sent[1], sent[3]], 4)
        second = await _scan(bench, most=9, name="other", after=first.next)
        assert ([job.id for job in second.jobs], second.next, second.looked_at) == ([sent[5], sent[7]], "", 4)

    async def test_jobs_that_are_cancelled_or_edited_are_not_found_where_they_were(self, bench: Bench) -> None:
        first, second, third = await bench.send(*(_with_text(bench, "needle") for _ in range(3)))
        await bench.cancel(first)
        await bench.broker.edit(bench.queue, second, priority=Priority.LOW.value, delay_ms=None, due_at_ms=None)
        assert await _scanned(bench, limit=1, needles=[b"needle"]) == [third, second]

    async def test_large_records_are_scanned_too(self, bench: Bench) -> None:
        large = [_with_text(bench, ("needle" if number == 4 else "") + "x" * 600_000) for number in range(12)]
        sent = await bench.send(*large)
        assert await _scanned(bench, needles=[b"needle"]) == [sent[4]]
        assert await _scanned(bench, needles=[b"xxx"]) == sent

    async def test_a_job_that_cannot_be_read_has_no_name_and_disturbs_no_scan(self, bench: Bench) -> None:
        await bench.send(NewJob(bench.queue, "damaged", "work", b"\xc1needle"))
        [fine] = await bench.send()
        assert await _scanned(bench, name="work", limit=1) == ["damaged", fine]
        assert await _scanned(bench, needles=[b"needle"]) == ["damaged"]

    @pytest.mark.parametrize("place", _PLACES)
    async def test_a_sample_tells_the_names_and_tenants_of_all_jobs_where_there_are_few(
        self, bench: Bench, place: Place
    ) -> None:
        await _fill(bench, place)
        assert await bench.broker.sample(bench.queue, place, 100) == (6, {"other": 4, "work": 2}, {"acme": 4})

    async def test_a_sample_of_many_jobs_looks_at_some_of_each_part(self, bench: Bench) -> None:
        # The first quarter has one name, the last another one.
        names = ["work"] * 200 + ["middle"] * 400 + ["other"] * 200
        await bench.send(*(bench.new(name) for name in names))
        looked_at, found, tenants = await bench.broker.sample(bench.queue, "ready", 80)
        assert tenants == {}
        assert 80 <= looked_at <= 100
        assert {name: round(4 * number / looked_at) for name, number in found.items()} == {
            "work": 1,
            "middle": 2,
            "other": 1,
        }

    async def test_a_sample_of_jobs_that_were_sent_in_turns_has_those_of_each_turn(self, bench: Bench) -> None:
        await bench.send(*(bench.new(tenant="acme" if number % 10 else "globex") for number in range(1_000)))
        looked_at, _, tenants = await bench.broker.sample(bench.queue, "ready", 200)
        assert tenants == {"acme": round(0.9 * looked_at), "globex": round(0.1 * looked_at)}

    @pytest.mark.parametrize("place", _PLACES)
    async def test_a_cursor_that_is_none_raises_nothing(self, bench: Bench, place: Place) -> None:
        await _fill(bench, place)
        number = "9" * 400
        for cursor in (
            "x",
            " ",
            "nan x",
            "inf x",
            f"{number} x 2",
            f"{number}:1",
            "9:9",
            "-1:x:y",
            "1 2 3",
            ":::",
            "é",
        ):
            assert len((await _scan(bench, place, after=cursor)).jobs) <= 6
            assert len((await bench.broker.page(bench.queue, place, cursor, 3)).jobs) <= 3

    async def test_an_empty_place_has_an_empty_sample_and_nothing_to_find(self, bench: Bench) -> None:
        for place in _PLACES:
            assert await bench.broker.sample("unused", place, 10) == (0, {}, {})
            assert await bench.broker.scan("unused", ScanRequest(place=place, limit=9, most=9)) == ([], "", 0)

    async def test_a_job_in_line_is_located_by_what_stands_before_it(self, bench: Bench) -> None:
        normal = await bench.send(count=3)
        [high] = await bench.send(bench.new(priority=Priority.HIGH))
        [low] = await bench.send(bench.new(priority=Priority.LOW))
        for number, job_id in enumerate([high, *normal, low]):
            assert await bench.broker.locate(bench.queue, job_id) == JobLocation("ready", ahead=number)
        assert await bench.broker.locate(bench.queue, "unknown") is None

    async def test_a_job_far_from_both_ends_of_the_line_is_located_too(self, bench: Bench) -> None:
        sent = await bench.send(count=2_500)
        for number in (0, 1_250, 2_499):
            assert await bench.broker.locate(bench.queue, sent[number]) == JobLocation("ready", ahead=number)

    async def test_a_parked_job_is_located_by_what_it_is_parked_for(self, bench: Bench) -> None:
        [unknown, of_tenant] = await bench.send(bench.new("other"), bench.new(tenant="acme"))
        await bench.hold("tenant", "acme")
        await bench.claim(5, names=frozenset({"work"}))
        assert await bench.broker.locate(bench.queue, unknown) == JobLocation("parked", Hold("name", "other"))
        assert await bench.broker.locate(bench.queue, of_tenant) == JobLocation("parked", Hold("tenant", "acme"))

    async def test_jobs_elsewhere_are_not_in_line(self, bench: Bench) -> None:
        [dead] = await bench.bury()
        [later] = await bench.send(bench.new(delay_ms=60_000))
        [cancelled] = await bench.send()
        await bench.cancel(cancelled)
        for job_id in (dead, later, cancelled):
            assert await bench.broker.locate(bench.queue, job_id) == JobLocation("other")

    async def test_a_running_job_is_located_with_the_end_of_its_lease(self, bench: Bench) -> None:
        [running] = await bench.send()
        claim = await bench.claim(lease_ms=60_000)
        assert await bench.broker.locate(bench.queue, running) == JobLocation(
            "running", leased_until_ms=claim.now_ms + 60_000
        )
        await bench.extend(claim.jobs, 90_000)
        found = await bench.broker.locate(bench.queue, running)
        assert found is not None
        assert (found.leased_until_ms or 0) >= claim.now_ms + 90_000

    async def test_a_sample_leaves_out_jobs_that_were_cancelled(self, bench: Bench) -> None:
        first, *_ = await bench.send(count=3)
        await bench.cancel(first)
        assert await bench.broker.sample(bench.queue, "ready", 10) == (2, {"work": 2}, {})


async def _fill(bench: Bench, place: Place) -> None:
    """Put six jobs into a place, of which four have the name ``other``, and are of the tenant ``acme``."""
    names = ["other", "work", "other", "other", "work", "other"]
    tenants = {"other": "acme", "work": ""}
    if place == "dead":
        for name in names:
            await bench.bury(bench.new(name, tenant=tenants[name]))
        return
    await bench.send(
        *(bench.new(name, tenant=tenants[name], delay_ms=60_000 if place == "scheduled" else 0) for name in names)
    )
    if place == "running":
        for _ in range(2):
            await bench.claim(3)
    elif place == "parked":
        await bench.claim(10, names=frozenset({"unrelated"}))
