"""``Limits``: turns, by which claims share a queue between groups."""

from __future__ import annotations

from collections import Counter

from asyncjobs.core.limits import QueueRules
from asyncjobs.core.priority import Priority
from asyncjobs.core.turns import MAX_LAG, MAX_LINED_CLAIM
from asyncjobs.ports import Claimed
from asyncjobs.testing.conformance.bench import Bench, ids
from asyncjobs.testing.conformance.lined import declare, send_lined
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Turning"]


async def _weigh(bench: Bench, *, by_time: bool = False, **weights: float) -> None:
    await bench.broker.declare_rules(bench.queue, QueueRules(weights=weights, by_time=by_time))


class Turning(Theme):
    """What claims promise of groups."""

    async def test_groups_take_turns_however_many_jobs_they_have(self, bench: Bench) -> None:
        many = await send_lined(bench, "a", count=50)
        few = await send_lined(bench, "b", count=3)
        assert await bench.claim_ids(6) == [many[0], few[0], many[1], few[1], many[2], few[2]]
        assert await bench.claim_ids(3) == many[3:6]

    async def test_a_claim_goes_on_where_the_one_before_has_ended(self, bench: Bench) -> None:
        sent = {group: await send_lined(bench, group, count=4) for group in "abc"}
        found: list[str] = []
        for _ in range(12):
            found += await bench.claim_ids(1)
        assert found == [sent[group][number] for number in range(4) for group in "abc"]

    async def test_groups_that_are_sent_one_after_the_other_all_start_soon(self, bench: Bench) -> None:
        groups = {job_id: n for n in range(40) for job_id in await send_lined(bench, f"group-{n:02}", count=5)}
        claim = await bench.claim(80)
        assert Counter(groups[job.id] for job in claim.jobs) == dict.fromkeys(range(40), 2)

    async def test_a_group_gets_what_its_weight_says(self, bench: Bench) -> None:
        await _weigh(bench, gold=3)
        gold = await send_lined(bench, "gold", count=100)
        tin = await send_lined(bench, "tin", count=100)
        found: list[str] = []
        for _ in range(10):
            found += await bench.claim_ids(8)
        started = Counter("gold" if job_id in gold else "tin" for job_id in found)
        assert started == {"gold": 60, "tin": 20}
        assert [one for one in found if one in gold] == gold[:60]
        assert [one for one in found if one in tin] == tin[:20]

    async def test_a_weight_that_is_changed_holds_for_what_was_sent_before(self, bench: Bench) -> None:
        gold = await send_lined(bench, "gold", count=100)
        await send_lined(bench, "tin", count=100)
        assert len(set(await bench.claim_ids(20)) & set(gold)) == 10
        await _weigh(bench, gold=3)
        assert 28 <= len(set(await bench.claim_ids(40)) & set(gold)) <= 31

    async def test_a_group_that_comes_new_has_no_arrears(self, bench: Bench) -> None:
        await send_lined(bench, "a", count=100)
        await send_lined(bench, "b", count=100)
        await bench.claim(60)
        new = await send_lined(bench, "new", count=50)
        assert len(set(await bench.claim_ids(30)) & set(new)) in (10, 11)

    async def test_a_group_that_sends_its_next_job_with_each_start_gets_no_more(self, bench: Bench) -> None:
        await send_lined(bench, "b", count=100)
        [current] = await send_lined(bench, "a")
        started = 0
        for _ in range(30):
            claimed = await bench.claim_ids(1)
            if claimed == [current]:
                started += 1
                [current] = await send_lined(bench, "a")
        assert 14 <= started <= 16

    async def test_jobs_without_a_group_are_one_more_of_them(self, bench: Bench) -> None:
        plain = await bench.send(count=20)
        one = await send_lined(bench, "a", count=20)
        two = await send_lined(bench, "b", count=20)
        assert await bench.claim_ids(9) == [
            job_id for number in range(3) for job_id in (plain[number], one[number], two[number])
        ]

    async def test_jobs_without_a_group_save_up_nothing_either(self, bench: Bench) -> None:
        await send_lined(bench, "a", count=100)
        await bench.claim(50)
        plain = await bench.send(count=50)
        assert 9 <= len(set(await bench.claim_ids(20)) & set(plain)) <= 11

    async def test_the_lines_of_a_group_take_turns(self, bench: Bench) -> None:
        one = await send_lined(bench, "a", ["customer=1"], count=3)
        two = await send_lined(bench, "a", ["customer=2"], count=3)
        other = await send_lined(bench, "b", count=6)
        assert await bench.claim_ids(8) == [
            job_id for pair in zip([one[0], two[0], one[1], two[1]], other[:4], strict=True) for job_id in pair
        ]

    async def test_a_closed_line_of_a_group_keeps_the_others_from_nothing(self, bench: Bench) -> None:
        await declare(bench, customer=1)
        one = await send_lined(bench, "a", ["customer=1"], count=3)
        two = await send_lined(bench, "a", ["free"], count=3)
        assert await bench.claim_ids() == [one[0], *two]

    async def test_a_group_that_was_closed_catches_up_on_a_bounded_number_of_turns(self, bench: Bench) -> None:
        await declare(bench, gate=1)
        held = await send_lined(bench, "a", ["gate"], count=2 * MAX_LAG)
        await send_lined(bench, "b", count=5 * MAX_LAG)
        claim = await bench.claim(2)
        [running] = [job for job in claim.jobs if job.id in held]
        for _ in range(3):
            await bench.claim(MAX_LAG)
        await declare(bench, gate=10_000)
        await bench.settle([running])
        found = await bench.claim_ids(MAX_LAG + 20)
        caught_up = len(set(found) & set(held))
        # Then it takes turns with the other.
        assert MAX_LAG + 8 <= caught_up <= MAX_LAG + 12

    async def test_the_groups_in_turn_are_told_in_the_order_of_their_next_starts(self, bench: Bench) -> None:
        async def told(limit: int = 10) -> list[tuple[str, int, float, int]]:
            turns = await bench.broker.turns(bench.queue, limit)
            return [(one.group, one.priority, one.weight, one.jobs) for one in turns]

        assert await told() == []
        await _weigh(bench, b=0.5)
        for group, count in (("c", 3), ("a", 5), ("b", 4)):
            await send_lined(bench, group, count=count)
        await send_lined(bench, "a", ["wide"], count=2)
        await send_lined(bench, "b", count=2, priority=Priority.HIGH)
        await bench.send(bench.new())
        high = ("b", 1, 0.5, 2)
        assert await told() == [high, ("a", 2, 1.0, 7), ("b", 2, 0.5, 4), ("c", 2, 1.0, 3)]
        # Two of b, the one without a group, and one of a.
        assert len(await bench.claim_ids(4)) == 4
        assert await told() == [("b", 2, 0.5, 4), ("c", 2, 1.0, 3), ("a", 2, 1.0, 6)]
        assert await told(2) == [("b", 2, 0.5, 4), ("c", 2, 1.0, 3)]
        assert await told(0) == []
        assert await bench.broker.turns("unused", 10) == []
        assert len(await bench.claim_ids(2)) == 2
        assert [group for group, *_ in await told()] == ["a", "c", "b"]

    async def test_a_group_without_jobs_in_turn_is_left_out_of_the_turns(self, bench: Bench) -> None:
        await declare(bench, narrow=1)
        cancelled = await send_lined(bench, "a", count=3)
        await send_lined(bench, "b", ["narrow"], count=3)
        await send_lined(bench, "c")
        for job_id in cancelled[1:]:
            await bench.cancel(job_id)
        assert [(one.group, one.jobs) for one in await bench.broker.turns(bench.queue, 10)] == [
            *[("a", 1), ("b", 3), ("c", 1)]
        ]
        await bench.cancel(cancelled[0])
        assert len(await bench.claim_ids(3)) == 2
        # The lines of b wait for their gate.
        assert await bench.broker.turns(bench.queue, 10) == []

    async def test_priorities_go_before_turns(self, bench: Bench) -> None:
        normal = await send_lined(bench, "a", count=2)
        low = await send_lined(bench, "b", count=2, priority=Priority.LOW)
        high = await send_lined(bench, "c", count=2, priority=Priority.HIGH)
        assert await bench.claim_ids() == [*high, *normal, *low]

    async def test_a_released_job_is_the_next_of_its_group(self, bench: Bench) -> None:
        one = await send_lined(bench, "a", count=3)
        two = await send_lined(bench, "b", count=3)
        claim = await bench.claim(2)
        await bench.release(claim.jobs)
        assert await bench.claim_ids(4) == [one[0], two[0], one[1], two[1]]

    async def test_a_job_that_was_given_back_has_used_no_turn_of_its_group(self, bench: Bench) -> None:
        sent = {group: await send_lined(bench, group, count=2) for group in "abc"}
        claim = await bench.claim(3)
        await bench.release([job for job in claim.jobs if job.id == sent["b"][0]])
        # Before the second ones of the others.
        assert await bench.claim_ids(4) == [sent["b"][0], sent["a"][1], sent["b"][1], sent["c"][1]]

    async def test_many_jobs_that_were_given_back_put_nobody_off_for_more_than_a_turn(self, bench: Bench) -> None:
        many = await send_lined(bench, "a", count=60)
        claim = await bench.claim(50)
        new = await send_lined(bench, "b", count=3)
        await bench.release(claim.jobs)
        assert await bench.claim_ids(5) == [*many[:2], new[0], many[2], new[1]]

    async def test_a_claim_of_a_queue_with_lines_is_bounded_with_what_was_set_aside(self, bench: Bench) -> None:
        [aside] = await bench.send(bench.new("other"))
        assert await bench.claim_ids(names=frozenset({"work"})) == []
        sent = await send_lined(bench, "a", count=MAX_LINED_CLAIM + 50)
        claim = await bench.claim(MAX_LINED_CLAIM + 100)
        assert ids(claim.jobs) == [aside, *sent[: MAX_LINED_CLAIM - 1]]
        assert claim.again

    async def test_by_time_a_group_gets_the_share_of_time_that_its_weight_says(self, bench: Bench) -> None:
        await _weigh(bench, by_time=True, gold=2)
        seconds = {"gold": 1.0, "slow": 2.0, "quick": 0.1}
        names = {job_id: group for group in seconds for job_id in await send_lined(bench, group, count=1_000)}
        spent: Counter[str] = Counter()
        running: list[tuple[float, str, Claimed]] = []
        now = 0.0
        while now < 90:
            for claimed in (await bench.claim(4 - len(running))).jobs:
                group = names[claimed.id]
                running.append((now + seconds[group], claimed.id, claimed))
            running.sort(key=lambda one: one[:2])
            now, job_id, claimed = running.pop(0)
            spent[names[job_id]] += round(seconds[names[job_id]] * 10)
            await bench.settle([claimed], duration_us=round(seconds[names[job_id]] * 1e6))
        total = sum(spent.values())
        shares = {group: spent[group] / total for group in seconds}
        assert abs(shares["gold"] - 0.5) < 0.05, shares
        assert abs(shares["slow"] - 0.25) < 0.05, shares
        assert abs(shares["quick"] - 0.25) < 0.05, shares

    async def test_one_claim_of_all_groups_keeps_their_jobs_in_order(self, bench: Bench) -> None:
        sent = {group: await send_lined(bench, group, count=7) for group in ("é", "b", "a")}
        claim = await bench.claim(21)
        for jobs in sent.values():
            assert [one for one in ids(claim.jobs) if one in jobs] == jobs
        # Of equals, the first by bytes.
        assert ids(claim.jobs)[:3] == [sent["a"][0], sent["b"][0], sent["é"][0]]
