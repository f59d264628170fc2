"""``JobStore.hold`` and ``Work.unpark``: what is held back, and what is set aside until a worker knows its name."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from asyncjobs.core.priority import Priority
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.core.states import JobState
from asyncjobs.ports import Hold
from asyncjobs.testing.conformance.bench import SOON_S, Bench, ids
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Holding"]

KNOWN = frozenset({"known"})
BOTH = frozenset({"work", "other"})


class Holding(Theme):
    """What ``hold`` and ``unpark`` promise."""

    async def test_a_paused_queue_gives_nothing_and_accepts_all(self, bench: Bench) -> None:
        [first] = await bench.send()
        await bench.hold("queue")
        [second] = await bench.send()
        assert await bench.claim_ids() == []
        assert (await bench.figures()).paused
        await bench.hold("queue", on=False)
        assert await bench.claim_ids() == [first, second]

    async def test_jobs_of_a_suspended_name_wait_until_it_is_resumed(self, bench: Bench) -> None:
        assert await bench.hold("name", "work")
        assert not await bench.hold("name", "work")
        assert bench.queue in await bench.broker.queues()
        waiting = await bench.send(count=2)
        [other] = await bench.send(bench.new("other"))
        assert await bench.claim_ids(names=BOTH) == [other]
        # They stay parked although a worker knows their name, and although the grace period is over.
        await bench.kit.advance(7_200_000)
        assert (await bench.broker.unpark([bench.queue], BOTH, 3_600_000)).moved == 0
        assert (await bench.figures()).parked == 2
        assert (await bench.figures()).holds == (Hold("name", "work"),)
        assert await bench.hold("name", "work", on=False)
        # The grace period begins anew, so a worker that doesn't know their name doesn't bury them.
        assert (await bench.broker.unpark([bench.queue], frozenset({"other"}), 3_600_000)).moved == 0
        assert (await bench.broker.unpark([bench.queue], BOTH, 3_600_000)).moved == 2
        assert await bench.claim_ids(names=BOTH) == waiting
        assert (await bench.figures()).holds == ()

    async def test_a_hold_says_since_when_by_whom_and_why(self, bench: Bench) -> None:
        now_ms = (await bench.claim(0)).now_ms
        names = [Hold("queue"), Hold("name", "wörk"), Hold("tenant", "acme")]
        for hold in names:
            assert await bench.broker.hold(bench.queue, hold, True, by="ada@example.com", why=f"{hold.kind}: «smtp»")
        held = (await bench.figures()).held
        assert [(one.hold, one.by, one.why) for one in held] == [
            (hold, "ada@example.com", f"{hold.kind}: «smtp»") for hold in sorted(names)
        ]
        assert all(now_ms <= one.since_ms <= now_ms + 10_000 for one in held)
        await bench.hold("name", "wörk", on=False)
        await bench.hold("tenant", "acme", on=False)
        assert [one.hold for one in (await bench.figures()).held] == [Hold("queue")]

    async def test_a_hold_in_force_gets_another_reason_and_keeps_its_time(self, bench: Bench) -> None:
        await bench.broker.hold(bench.queue, Hold("queue"), True, by="ada", why="smtp")
        [before] = (await bench.figures()).held
        await bench.kit.advance(60_000)
        assert not await bench.broker.hold(bench.queue, Hold("queue"), True, by="bob")
        assert not await bench.broker.hold(bench.queue, Hold("queue"), True, by="ada", why="smtp")
        assert (await bench.figures()).held == (before,)
        assert await bench.broker.hold(bench.queue, Hold("queue"), True, by="bob", why="dns")
        assert (await bench.figures()).held == (before._replace(by="bob", why="dns"),)

    async def test_figures_tell_parked_jobs_by_what_they_are_parked_for(self, bench: Bench) -> None:
        await bench.hold("name", "work")
        await bench.hold("tenant", "acme")
        now_ms = (await bench.claim(0)).now_ms
        names, a_while = frozenset({"work", "other"}), 10_000
        await bench.send(*(bench.new() for _ in range(3)), bench.new("other", tenant="acme"))
        unknown = await bench.send(bench.new("new"), bench.new("new"))
        assert await bench.claim_ids(names=names) == []
        figures = await bench.figures()
        assert [(one.hold, one.size) for one in figures.parked_for] == [
            (Hold("name", "work"), 3),
            (Hold("name", "new"), 2),
            (Hold("tenant", "acme"), 1),
        ]
        assert all(now_ms <= one.since_ms <= now_ms + a_while for one in figures.parked_for)
        # A cancelled job isn't parked any more.
        await bench.cancel(unknown[0])
        figures = await bench.figures()
        assert figures.parked == 5
        assert [one.size for one in figures.parked_for] == [3, 1, 1]

    @pytest.mark.parametrize("names", [None, BOTH])
    async def test_jobs_of_a_suspended_tenant_wait_whoever_claims(
        self, bench: Bench, names: frozenset[str] | None
    ) -> None:
        await bench.hold("tenant", "acme")
        await bench.hold("name", "acme")
        sent = await bench.send(bench.new(tenant="acme"), bench.new(tenant="globex"), bench.new())
        assert await bench.claim_ids(names=names) == sent[1:]
        assert (await bench.figures()).parked == 1
        await bench.kit.advance(7_200_000)
        assert (await bench.broker.unpark([bench.queue], BOTH, 3_600_000)).moved == 0
        assert (await bench.figures()).holds == (Hold("name", "acme"), Hold("tenant", "acme"))
        await bench.hold("tenant", "acme", on=False)
        assert (await bench.broker.unpark([bench.queue], frozenset(), 3_600_000)).moved == 1
        assert await bench.claim_ids(names=names) == sent[:1]

    @pytest.mark.parametrize("hold", [Hold("queue"), Hold("name", "work"), Hold("tenant", "acme")])
    async def test_a_hold_says_whether_it_has_changed_anything(self, bench: Bench, hold: Hold) -> None:
        replies = [await bench.broker.hold(bench.queue, hold, on) for on in (False, True, True, False, False)]
        assert replies == [False, True, False, True, False]

    @pytest.mark.parametrize("hold", [Hold("queue"), Hold("name", "work"), Hold("tenant", "acme")])
    async def test_what_runs_goes_on_while_it_is_held(self, bench: Bench, hold: Hold) -> None:
        await bench.send(bench.new(tenant="acme"))
        claim = await bench.claim()
        await bench.broker.hold(bench.queue, hold, True)
        [waiting] = await bench.send(bench.new(tenant="acme"))
        assert await bench.extend(claim.jobs) == ([], [])
        assert await bench.settle(claim.jobs) == [True]
        assert await bench.claim_ids() == []
        await bench.broker.hold(bench.queue, hold, False)
        await bench.broker.unpark([bench.queue], BOTH, 60_000)
        assert await bench.claim_ids() == [waiting]

    async def test_unparking_tells_which_names_the_worker_does_not_know(self, bench: Bench) -> None:
        work = frozenset({"work"})
        sent = [bench.new(f"stranger {number}") for number in range(3)]
        held, of_tenant = bench.new("held"), bench.new("work", tenant="acme")
        await bench.hold("name", "held")
        await bench.hold("tenant", "acme")
        await bench.send(*sent, held, of_tenant, bench.new("other"))
        await bench.claim(10, names=work)
        await bench.claim(10, names=work)
        assert await bench.waiting() == 6
        await bench.cancel(sent[2].id)
        strangers = [(bench.queue, f"stranger {number}") for number in range(2)]
        assert await bench.broker.unpark([bench.queue], work, 60_000) == (0, [(bench.queue, "other"), *strangers])
        assert await bench.broker.unpark([bench.queue], BOTH, 60_000) == (1, strangers)
        assert (await bench.broker.unpark(["unused"], work, 60_000)).unknown == []
        # Also those whose jobs are buried now; afterwards there is nothing to tell.
        await bench.kit.advance(60_001)
        assert await bench.broker.unpark([bench.queue], work, 60_000) == (2, strangers)
        assert await bench.broker.unpark([bench.queue], work, 60_000) == (0, [])

    async def test_what_one_call_does_not_unpark_is_unparked_by_the_next(self, bench: Bench) -> None:
        parked = []
        for _ in range(3):
            parked += await bench.send(*(bench.new("other") for _ in range(500)))
            await bench.claim(500, names=KNOWN)
        unparked = 0
        while number := (await bench.broker.unpark([bench.queue], BOTH, 60_000)).moved:
            unparked += number
        assert unparked == 1_500
        assert await bench.ids_in("ready", limit=500) == parked
        assert (await bench.figures()).parked == 0

    async def test_many_jobs_keep_their_order_and_the_cancelled_among_them_are_passed_over(self, bench: Bench) -> None:
        parked: list[str] = []
        for _ in range(5):
            parked += await bench.send(*(bench.new("other", tenant="acme") for _ in range(500)))
            await bench.claim(500, names=KNOWN)
        dropped = set(parked[::7])
        await bench.broker.cancel(bench.queue, sorted(dropped), "enough", 1_000)
        await bench.kit.advance(1_001)
        # One that was cancelled is sent and parked anew, behind all others.
        await bench.send(bench.new("other", job_id=parked[0]), bench.new("other", job_id=parked[7]))
        await bench.claim(500, names=KNOWN)
        await bench.cancel(parked[7])
        while (await bench.broker.unpark([bench.queue], BOTH, 60_000)).moved:
            continue
        kept = [one for one in parked if one not in dropped]
        assert await bench.ids_in("ready", limit=500) == [*kept, parked[0]]
        assert await bench.waiting() == len(kept) + 1

    async def test_many_jobs_are_claimed_in_their_order_also_while_they_are_unparked(self, bench: Bench) -> None:
        sent = await bench.send(*(bench.new(tenant="acme") for _ in range(5_000)))
        await bench.hold("tenant", "acme")
        while await bench.waiting() > (await bench.figures()).parked:
            await bench.claim(1_000)
        await bench.hold("tenant", "acme", on=False)
        unparking = asyncio.create_task(bench.broker.unpark([bench.queue], BOTH, 60_000))
        claimed: list[str] = []
        async with asyncio.timeout(SOON_S):
            while len(claimed) < len(sent):
                claimed += await bench.claim_ids(100, lease_ms=60_000)
                await asyncio.sleep(0)
        await unparking
        assert claimed == sent

    @pytest.mark.parametrize("way", ["unparked", "released", "recovered", "cancelled", "edited"])
    async def test_a_job_put_back_in_front_of_an_entry_of_its_id_that_was_cancelled_keeps_its_place(
        self, bench: Bench, way: str
    ) -> None:
        first, between, twice = bench.new(), bench.new(), bench.new(job_id="twice")
        await bench.send(first, between, twice)
        await bench.cancel("twice", keep_ms=1)
        await bench.kit.advance(2)
        await bench.send(bench.new("other", job_id="twice", priority=Priority.HIGH))
        assert await bench.claim_ids(1, names=frozenset({"work"})) == [first.id]
        assert await bench.ids_in("parked") == ["twice"]
        await bench.broker.edit(bench.queue, "twice", priority=Priority.NORMAL.value, delay_ms=None, due_at_ms=None)
        await bench.broker.unpark([bench.queue], BOTH, 60_000)
        if way in ("released", "recovered"):
            claim = await bench.claim(1)
            assert ids(claim.jobs) == ["twice"]
            if way == "released":
                await bench.release(claim.jobs)
            else:
                await bench.lapse()
                await bench.recover()
        assert (await bench.ids_in("ready"))[-2:] == ["twice", between.id]
        expected = ["twice", between.id]
        if way == "cancelled":
            assert await bench.cancel("twice", keep_ms=1) == "cancelled"
            await bench.kit.advance(2)
            assert await bench.ids_in("ready") == [between.id]
            await bench.send(bench.new(job_id="twice"))
            expected.reverse()
        elif way == "edited":
            for level in (Priority.LOW, Priority.NORMAL):
                await bench.broker.edit(bench.queue, "twice", priority=level.value, delay_ms=None, due_at_ms=None)
            expected.reverse()
        if way == "recovered":
            expected.insert(0, first.id)
        assert sum((await bench.figures()).ready) == len(expected)
        for one in expected:
            assert await bench.claim_ids(1) == [one]
        assert await bench.claim_ids() == []
        assert sum((await bench.figures()).ready) == 0

    async def test_jobs_of_unknown_names_are_parked_until_a_worker_knows_them(self, bench: Bench) -> None:
        [other] = await bench.send(bench.new("other"))
        [known] = await bench.send(bench.new("known"))
        claim = await bench.claim(1, names=KNOWN)
        got = ids(claim.jobs) or await bench.claim_ids(names=KNOWN)
        assert got == [known]
        assert claim.again or claim.jobs
        assert (await bench.figures()).parked == 1
        assert (await bench.broker.unpark([bench.queue], KNOWN, 60_000)).moved == 0
        assert (await bench.broker.unpark([bench.queue], frozenset({"other"}), 60_000)).moved == 1
        assert await bench.claim_ids(names=frozenset({"other"})) == [other]

    async def test_a_worker_that_knows_no_name_parks_every_job(self, bench: Bench) -> None:
        sent = await bench.send(bench.new(), bench.new("other"))
        assert await bench.claim_ids(names=frozenset()) == []
        assert sorted(await bench.ids_in("parked")) == sent
        assert (await bench.broker.unpark([bench.queue], frozenset(), 60_000)).moved == 0
        assert (await bench.broker.unpark([bench.queue], BOTH, 60_000)).moved == 2
        assert sorted(await bench.claim_ids(names=BOTH)) == sent

    async def test_a_worker_of_many_names_takes_their_jobs_and_parks_all_others(self, bench: Bench) -> None:
        names = frozenset(f"work-{number}" for number in range(5_000))
        sent = await bench.send(bench.new("work-7"), bench.new("other"), bench.new("work-4999"))
        for other, expected in [(False, [sent[0], sent[2]]), (True, [sent[1]])]:
            await bench.broker.unpark([bench.queue], names | {"other"} if other else names, 3_600_000)
            claim = await bench.claim(names=names | {"other"} if other else names)
            assert ids(claim.jobs) == expected
            await bench.settle(claim.jobs)
        # Whatever a broker remembers of the names, it forgets when they have not been seen for long.
        await bench.kit.advance(48 * 3_600_000)
        later = await bench.send(bench.new("work-1"), bench.new("unknown"))
        assert await bench.claim_ids(names=names) == later[:1]
        assert (await bench.broker.unpark([bench.queue], names, 3_600_000)).moved == 0
        assert await bench.ids_in("parked") == later[1:]

    async def test_a_claim_gets_parked_jobs_of_the_names_that_its_worker_knows_in_order(self, bench: Bench) -> None:
        others = await bench.send(*(bench.new("other") for _ in range(5)))
        assert await bench.claim_ids(names=KNOWN) == []
        [known] = await bench.send(bench.new("known"))
        assert await bench.claim_ids(3, names=BOTH) == others[:3]
        assert await bench.ids_in("parked") == others[3:]
        assert await bench.claim_ids(names=KNOWN) == [known]
        claim = await bench.claim(names=BOTH)
        assert ids(claim.jobs) == others[3:]
        assert (await bench.figures()).parked == 0
        assert await bench.settle(claim.jobs) == [True, True]

    async def test_parked_jobs_do_not_come_before_more_urgent_ones(self, bench: Bench) -> None:
        await bench.send(bench.new("other", priority=Priority.LOW))
        assert await bench.claim_ids(names=KNOWN) == []
        urgent = await bench.send(*(bench.new("other", priority=Priority.HIGH) for _ in range(2)))
        assert await bench.claim_ids(2, names=BOTH) == urgent
        assert (await bench.figures()).parked == 1

    async def test_parked_jobs_that_are_held_or_cancelled_are_not_claimed(self, bench: Bench) -> None:
        parked = await bench.send(*(bench.new("other", tenant=tenant) for tenant in ("acme", "", "acme", "")))
        assert await bench.claim_ids(names=KNOWN) == []
        await bench.cancel(parked[1])
        await bench.hold("tenant", "acme")
        await bench.claim_ids(names=BOTH)
        await bench.hold("name", "other")
        assert await bench.claim_ids(names=BOTH) == []
        await bench.hold("name", "other", on=False)
        await bench.hold("tenant", "acme", on=False)
        left = await bench.ids_in("parked")
        assert await bench.claim_ids(names=BOTH) == left
        assert {parked[0], parked[2]} <= set(left) <= {parked[0], parked[2], parked[3]}

    async def test_a_job_that_this_version_cannot_read_waits_for_a_newer_worker(self, bench: Bench) -> None:
        [newer] = await bench.send(msgspec.structs.replace(bench.new(), body=b"\x02\x80"))
        [claimed] = (await bench.claim()).jobs
        parking = Settlement(claimed.queue, claimed.id, claimed.name, claimed.priority, claimed.fence, Verdict.PARK)
        assert await bench.broker.settle([parking]) == [True]
        # A newer worker is to look at once.
        assert await bench.broker.wait([bench.queue], SOON_S)
        await bench.kit.advance(7_200_000)
        assert (await bench.broker.unpark([bench.queue], BOTH, 3_600_000)).moved == 0
        assert await bench.claim_ids() == []
        [job] = await bench.jobs_in("parked")
        assert (job.id, job.name, job.is_newer, job.version) == (newer, "work", True, 2)
        assert (await bench.figures()).parked == 1
        assert await bench.cancel(newer) == "cancelled"
        ended = await bench.broker.find(bench.queue, newer)
        assert ended is not None
        assert (ended.state, ended.reason, ended.is_newer) == (JobState.CANCELLED, "enough", False)
        assert (await bench.figures()).parked == 0

    @pytest.mark.parametrize("tries", [b"1:1:\x02\x80", b"1:1:\xc1", b"junk"])
    async def test_tries_that_can_not_be_read_are_counted_on(self, bench: Bench, tries: bytes) -> None:
        [job_id] = await bench.send()
        [claimed] = (await bench.claim()).jobs
        retry = Settlement(
            claimed.queue, claimed.id, claimed.name, claimed.priority, claimed.fence, Verdict.RETRY, tries=tries
        )
        assert await bench.broker.settle([retry]) == [True]
        for _ in range(3):
            await bench.claim_ids()
            await bench.lapse()
            await bench.recover()
        [dead] = await bench.jobs_in("dead")
        assert dead.errors[-1].type == "WorkerDied"
        assert await bench.broker.retry(bench.queue, [job_id]) == [True]
        assert await bench.claim_ids() == [job_id]

    async def test_unparked_jobs_keep_their_order_and_come_first(self, bench: Bench) -> None:
        parked = await bench.send(*(bench.new("other") for _ in range(3)))
        assert await bench.claim_ids(names=KNOWN) == []
        [later] = await bench.send(bench.new("other"))
        await bench.broker.unpark([bench.queue], frozenset({"other"}), 60_000)
        assert await bench.claim_ids() == [*parked, later]

    async def test_jobs_whose_name_nobody_knew_for_the_grace_time_are_dead_with_the_reason(self, bench: Bench) -> None:
        [job_id] = await bench.send(bench.new("other"))
        await bench.claim_ids(names=KNOWN)
        await bench.kit.advance(60_000)
        assert (await bench.broker.unpark([bench.queue], KNOWN, 60_000)).moved == 1
        [dead] = await bench.jobs_in("dead")
        assert (dead.id, dead.state, dead.errors[-1].type) == (job_id, JobState.FAILED, "UnknownJobName")
        assert "other" in dead.errors[-1].message

    async def test_an_id_cancelled_in_one_parked_list_is_not_passed_over_in_another(self, bench: Bench) -> None:
        job = bench.new(job_id="twice", tenant="acme")
        await bench.send(job)
        await bench.claim(names=frozenset({"other"}))
        await bench.cancel("twice", keep_ms=1_000)
        await bench.kit.advance(1_001)
        await bench.hold("tenant", "acme")
        await bench.send(job)
        await bench.claim(names=BOTH)
        await bench.hold("tenant", "acme", on=False)
        await bench.broker.unpark([bench.queue], frozenset(), 3_600_000)
        assert await bench.claim_ids(names=BOTH) == ["twice"]
        await bench.broker.unpark([bench.queue], BOTH, 3_600_000)
        assert await bench.claim_ids(names=BOTH) == []
