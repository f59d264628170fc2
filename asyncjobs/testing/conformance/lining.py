"""``Limits``, ``JobStore`` and ``Work``: jobs that wait in lines with a key, wherever they come from and go to."""

from __future__ import annotations

import msgspec

from asyncjobs.core.limits import QueueLimit
from asyncjobs.core.lines import line_key
from asyncjobs.core.priority import Priority
from asyncjobs.core.uniqueness import UniqueRule
from asyncjobs.ports import JobLocation, NewJob, ScanRequest
from asyncjobs.testing.conformance.bench import Bench, ids
from asyncjobs.testing.conformance.lined import declare, figures_of, lined, send_lined
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Lining"]

MAIL = line_key("", ["mail"])


class Lining(Theme):
    """What the verbs for single jobs promise of those in lines."""

    async def test_a_cancelled_job_leaves_its_line(self, bench: Bench) -> None:
        sent = await send_lined(bench, "a", count=4)
        assert await bench.cancel(sent[1]) == "cancelled"
        assert await bench.ids_in("ready") == [sent[0], *sent[2:]]
        assert await bench.claim_ids(2) == [sent[0], sent[2]]
        assert await bench.cancel(sent[3]) == "cancelled"
        assert await bench.claim_ids() == []
        assert (await bench.figures()).ready == (0, 0, 0, 0)
        # The line is as new.
        again = await send_lined(bench, "a", count=2)
        assert await bench.claim_ids() == again

    async def test_a_job_of_another_priority_goes_to_the_back_of_its_line_there(self, bench: Bench) -> None:
        normal = await send_lined(bench, "a", count=3)
        high = await send_lined(bench, "a", count=2, priority=Priority.HIGH)
        reply = await bench.broker.edit(bench.queue, normal[0], priority=1, delay_ms=None, due_at_ms=None)
        assert reply == "edited"
        assert (await bench.figures()).ready == (0, 3, 2, 0)
        assert await bench.claim_ids() == [*high, normal[0], *normal[1:]]

    async def test_a_job_that_is_put_off_comes_back_to_its_line(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        sent = await send_lined(bench, gates=["mail"], count=3)
        await bench.broker.edit(bench.queue, sent[0], priority=None, delay_ms=10_000, due_at_ms=None)
        claim = await bench.claim()
        assert ids(claim.jobs) == sent[1:2]
        await bench.kit.advance(11_000)
        assert await bench.claim_ids() == []
        await bench.settle(claim.jobs)
        claim = await bench.claim()
        assert ids(claim.jobs) == sent[2:]
        await bench.settle(claim.jobs)
        assert await bench.claim_ids() == sent[:1]

    async def test_jobs_that_are_due_wait_in_their_lines(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        later = await send_lined(bench, gates=["mail"], count=3, delay_ms=1_000)
        await bench.kit.advance(2_000)
        claim = await bench.claim()
        assert ids(claim.jobs) == later[:1]
        assert (await bench.figures()).lined == 2
        await bench.settle(claim.jobs)
        assert len(await bench.claim_ids()) == 1

    async def test_a_dead_job_that_is_retried_goes_to_the_back_of_its_line(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        sent = await send_lined(bench, gates=["mail"], count=3)
        await bench.fail((await bench.claim()).jobs, for_good=True)
        assert (await figures_of(bench, "mail")).running == 0
        assert await bench.broker.retry(bench.queue, sent[:1]) == [True]
        found = []
        for _ in range(3):
            claim = await bench.claim()
            found += ids(claim.jobs)
            await bench.settle(claim.jobs)
        assert found == [*sent[1:], sent[0]]

    async def test_a_job_of_a_held_name_is_parked_and_comes_back_to_the_front_of_its_line(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        [other] = await send_lined(bench, gates=["mail"], name="other")
        sent = await send_lined(bench, gates=["mail"], count=2)
        await bench.hold("name", "other")
        claim = await bench.claim()
        claim = claim if claim.jobs else await bench.claim()
        assert ids(claim.jobs) == sent[:1]
        assert await bench.ids_in("parked") == [other]
        await bench.hold("name", "other", on=False)
        # It is not for a claim to let it run past its gate.
        assert await bench.claim_ids() == []
        assert (await bench.broker.unpark([bench.queue], frozenset({"work", "other"}), 10**9)).moved == 1
        assert await bench.claim_ids() == []
        await bench.settle(claim.jobs)
        assert await bench.claim_ids() == [other]

    async def test_jobs_that_are_not_for_the_worker_keep_it_from_no_line_behind_theirs(self, bench: Bench) -> None:
        unknown = [job_id for n in range(40) for job_id in await send_lined(bench, f"a{n:02}", name="other")]
        for n in range(80):
            unknown += await send_lined(bench, "", [f"c={n:02}"], name="other")
        [known] = await send_lined(bench, "b")
        found: list[str] = []
        for _ in range(45):
            found += await bench.claim_ids(1, names=frozenset({"work"}))
            if found:
                break
        assert found == [known]
        assert set(await bench.ids_in("parked")) <= set(unknown)

    async def test_a_job_of_a_held_tenant_keeps_the_others_of_its_line_from_nothing(self, bench: Bench) -> None:
        [held] = await send_lined(bench, "a", tenant="acme")
        [free] = await send_lined(bench, "a", tenant="globex")
        await bench.hold("tenant", "acme")
        assert (await bench.claim_ids(1) or await bench.claim_ids(1)) == [free]
        await bench.hold("tenant", "acme", on=False)
        await bench.broker.unpark([bench.queue], frozenset({"work"}), 10**9)
        assert await bench.claim_ids() == [held]

    async def test_a_job_that_came_back_to_the_front_stays_there_once_a_claim_has_seen_it(self, bench: Bench) -> None:
        [first] = await send_lined(bench, "a")
        claim = await bench.claim()
        behind = await send_lined(bench, "a", count=2)
        [moved] = await send_lined(bench, "a", name="other")
        assert await bench.broker.edit(bench.queue, moved, priority=0, delay_ms=None, due_at_ms=None) == "edited"
        await bench.hold("name", "other")
        await bench.release((await bench.claim(1)).jobs)
        assert await bench.ids_in("parked") == [moved]
        await bench.broker.edit(bench.queue, moved, priority=2, delay_ms=None, due_at_ms=None)
        await bench.hold("name", "other", on=False)
        await bench.broker.unpark([bench.queue], frozenset({"work", "other"}), 10**9)
        await bench.release(claim.jobs)
        order = [first, moved, *behind]
        assert await bench.ids_in("ready") == order
        assert [await bench.claim_ids(1) for _ in order] == [[job_id] for job_id in order]

    async def test_a_replaced_unique_job_waits_in_the_line_of_its_new_arguments(self, bench: Bench) -> None:
        await declare(bench, customer=1)
        rule = UniqueRule("key", on_conflict="replace")
        first = msgspec.structs.replace(lined(bench, gates=["customer=1"]), unique=rule)
        second = msgspec.structs.replace(lined(bench, gates=["customer=2"]), unique=rule)
        behind = await send_lined(bench, gates=["customer=2"])
        assert await bench.broker.enqueue([first]) == [True]
        assert await bench.broker.enqueue([second]) == [first.id]
        assert await bench.broker.locate(bench.queue, first.id) == JobLocation(
            "ready", ahead=1, line=second.line, groups_ahead=0
        )
        assert await bench.claim_ids() == behind

    async def test_a_unique_job_that_is_replaced_twice_in_one_call_waits_where_the_last_one_does(
        self, bench: Bench
    ) -> None:
        await declare(bench, a=1, z=1)
        rule = UniqueRule("key", on_conflict="replace")
        [running] = await send_lined(bench, gates=["a"])
        claim = await bench.claim()
        assert ids(claim.jobs) == [running]
        [held, other, back] = [
            msgspec.structs.replace(lined(bench, gates=[gate]), unique=rule) for gate in ("a", "z", "a")
        ]
        assert await bench.broker.enqueue([held]) == [True]
        [behind] = await send_lined(bench, gates=["a"])
        assert await bench.broker.enqueue([other, back]) == [held.id, held.id]
        assert await bench.ids_in("ready") == [behind, held.id]
        assert await bench.claim_ids() == []
        assert await bench.cancel(held.id) == "cancelled"
        await bench.settle(claim.jobs)
        claim = await bench.claim()
        assert ids(claim.jobs) == [behind]
        await bench.settle(claim.jobs)
        assert await bench.claim_ids() == []

    async def test_unique_jobs_that_are_replaced_in_one_call_wait_in_the_order_of_the_call(self, bench: Bench) -> None:
        def new(number: int, group: str) -> NewJob:
            rule = UniqueRule(f"key-{number}", on_conflict="replace")
            return msgspec.structs.replace(lined(bench, group), unique=rule)

        first = [new(number, "a") for number in range(12)]
        assert await bench.broker.enqueue(first) == [True] * 12
        order = [7, 2, 11, 0, 5, 9, 1, 10, 3, 8, 6, 4]
        assert await bench.broker.enqueue([new(number, "b") for number in order]) == [first[one].id for one in order]
        assert await bench.claim_ids(20) == [first[number].id for number in order]

    async def test_a_scheduled_unique_job_that_is_replaced_comes_to_be_due_in_its_new_line(self, bench: Bench) -> None:
        await declare(bench, a=1)
        rule = UniqueRule("key", until="start", on_conflict="replace", wait_ms=5_000)
        first = msgspec.structs.replace(bench.new(delay_ms=5_000), unique=rule)
        again = msgspec.structs.replace(lined(bench, gates=["a"], delay_ms=5_000), unique=rule)
        assert await bench.broker.enqueue([first]) == [True]
        assert await bench.broker.enqueue([again]) == [first.id]
        await bench.kit.advance(6_000)
        claim = await bench.claim()
        assert ids(claim.jobs) == [first.id]
        assert (await figures_of(bench, "a")).running == 1
        await send_lined(bench, gates=["a"])
        assert await bench.claim_ids() == []

    async def test_the_figures_count_jobs_in_lines(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        await send_lined(bench, gates=["mail"], count=3)
        await send_lined(bench, "a", count=2, priority=Priority.HIGH)
        await bench.send(count=2)
        figures = await bench.figures()
        assert (figures.ready, figures.lined, figures.closed_lines) == ((0, 2, 5, 0), 5, 0)
        assert len(await bench.claim_ids(6)) == 5
        figures = await bench.figures()
        assert (figures.ready, figures.lined, figures.closed_lines) == ((0, 0, 2, 0), 2, 1)
        assert figures.oldest_wait_ms > 0
        assert figures.repaired == 0

    async def test_the_figures_of_gates_tell_what_runs_and_what_waits(self, bench: Bench) -> None:
        await declare(bench, customer=2, mail=1, unused=9)
        one = await send_lined(bench, gates=["customer=1"], count=5)
        await send_lined(bench, gates=["customer=2"])
        await send_lined(bench, gates=["mail"], count=2)
        await send_lined(bench, "x", gates=["mail"], count=2)
        await bench.broker.set_limit(bench.queue, "customer=3", QueueLimit(7), "ada")
        await bench.claim()
        found = await bench.broker.gates(bench.queue, 10)
        assert [(gate.gate, gate.running, gate.lines, gate.jobs) for gate in found] == [
            ("mail", 1, 2, 3),
            ("customer", 3, 1, 3),
            ("customer=1", 2, 1, 3),
            ("customer=2", 1, 0, 0),
            ("customer=3", 0, 0, 0),
            ("unused", 0, 0, 0),
        ]
        by_name = {gate.gate: gate for gate in found}
        assert by_name["customer=1"].holders == tuple(one[:2])
        assert by_name["customer=1"].limit == by_name["customer"].limit == QueueLimit(2)
        assert by_name["customer=1"].oldest_wait_ms > 0
        assert (by_name["customer=3"].limit, by_name["customer=3"].set_by) == (QueueLimit(7), "ada")
        assert [gate.gate for gate in await bench.broker.gates(bench.queue, 1)] == [
            "mail", "customer", "customer=1", "unused",
        ]  # fmt: skip
        assert await bench.broker.gates("unused", 10) == []

    async def test_ready_jobs_are_listed_the_plain_ones_first_and_then_line_by_line(self, bench: Bench) -> None:
        late = await send_lined(bench, "b", count=3)
        early = await send_lined(bench, "a", ["mail"], count=3)
        high = await send_lined(bench, "b", count=2, priority=Priority.HIGH)
        plain = await bench.send(count=3)
        expected = [*plain, *high, *early, *late]
        for limit in (1, 2, 3, 100):
            assert await bench.ids_in("ready", limit=limit) == expected
        found: list[str] = []
        after = ""
        while True:
            page = await bench.broker.scan(bench.queue, ScanRequest(place="ready", after=after, limit=2, most=100))
            found += [job.id for job in page.jobs]
            after = page.next
            if not after:
                break
        assert found == expected
        sample = await bench.broker.sample(bench.queue, "ready", 100)
        assert sample.looked_at == len(expected)

    async def test_lines_that_were_emptied_hide_no_other_from_a_page(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        await send_lined(bench, gates=["mail"])
        await bench.claim()
        sent = [job_id for n in range(12) for job_id in await send_lined(bench, f"{n:02}", ["mail"])]
        while (await bench.claim()).again:
            pass
        await bench.broker.cancel(bench.queue, [*sent[:5], *sent[6:11]], "enough", 60_000)
        for limit in (1, 2, 3, 100):
            assert await bench.ids_in("ready", limit=limit) == [sent[5], sent[11]]

    async def test_a_page_goes_on_behind_a_job_that_has_left_its_line(self, bench: Bench) -> None:
        sent = await send_lined(bench, "a", count=6)
        page = await bench.broker.page(bench.queue, "ready", "", 2)
        assert [job.id for job in page.jobs] == sent[:2]
        assert await bench.claim_ids(2) == sent[:2]
        page = await bench.broker.page(bench.queue, "ready", page.next, 10)
        assert [job.id for job in page.jobs] == sent[2:]

    async def test_a_job_whose_line_no_claim_has_tried_is_located_before_its_full_gate(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        await send_lined(bench, gates=["mail"])
        running = await bench.claim_ids()
        [waits] = await send_lined(bench, gates=["mail"])
        found = await bench.broker.locate(bench.queue, waits)
        assert found is not None
        assert found.gate is not None
        assert (found.gate.gate, found.gate.running, [*found.gate.holders]) == ("mail", 1, running)
        assert (found.ahead, found.groups_ahead, found.lines_ahead) == (0, 0, None)

    async def test_a_job_is_located_in_its_line(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        running, second, third = await send_lined(bench, gates=["mail"], count=3)
        [other] = await send_lined(bench, "b")
        locate = bench.broker.locate
        assert await locate(bench.queue, third) == JobLocation("ready", ahead=2, line=MAIL, groups_ahead=0)
        assert await locate(bench.queue, other) == JobLocation("ready", ahead=0, line="b", groups_ahead=1)
        claim = await bench.claim(4)
        assert ids(claim.jobs) == [running, other]
        await send_lined(bench, "c", ["mail"])
        await bench.claim()
        found = await locate(bench.queue, third)
        assert found is not None
        # The group of the line that has come since has had no turn yet.
        assert (found.ahead, found.line, found.lines_ahead, found.groups_ahead) == (1, MAIL, 1, None)
        assert found.gate is not None
        # The clock of a server goes on meanwhile.
        figures = await figures_of(bench, "mail")
        assert msgspec.structs.replace(found.gate, oldest_wait_ms=figures.oldest_wait_ms) == figures
        assert found.gate.holders == (running,)
        runs = await locate(bench.queue, running)
        assert runs is not None
        assert (runs.place, runs.line) == ("running", MAIL)
        assert (await locate(bench.queue, second)) is not None

    async def test_a_queue_in_which_all_has_ended_is_as_before(self, bench: Bench) -> None:
        await declare(bench, customer=1)
        for group in ("", "a"):
            await send_lined(bench, group, ["customer=1", "mail"], count=3)
        for _ in range(20):
            await bench.settle((await bench.claim()).jobs)
        figures = await bench.figures()
        assert (sum(figures.ready), figures.running, figures.lined, figures.succeeded) == (0, 0, 0, 6)
        assert [gate.gate for gate in await bench.broker.gates(bench.queue, 10)] == ["customer"]
        await bench.broker.prune([bench.queue], 10**9, 10**6)
        plain = await bench.send(count=2)
        assert await bench.claim_ids() == plain
