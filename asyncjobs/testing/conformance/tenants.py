"""``JobStats`` of one tenant: its figures, its history and its dead jobs."""

from __future__ import annotations

import pytest

from asyncjobs.core.histogram import bucket_of
from asyncjobs.core.retention import MINUTE_MS
from asyncjobs.core.settlement import Cancelled
from asyncjobs.ports import TenantEnd, TenantFigures
from asyncjobs.testing.conformance.bench import Bench
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Tenants"]

MONTH_MS = 30 * 24 * 3_600_000


class Tenants(Theme):
    """What ``tenants`` and ``tenant_figures`` promise, and ``history`` and ``page`` of one tenant."""

    @pytest.mark.parametrize("tenant", ["acme", "a", " acme", "29417520", "{globex}", "größe: 1", "x" * 255])
    async def test_the_ends_of_a_tenants_jobs_are_counted_apart(self, bench: Bench, tenant: str) -> None:
        for whose in (tenant, "globex", "", tenant):
            await bench.send(*(bench.new(tenant=whose) for _ in range(5)))
            jobs = (await bench.claim(5)).jobs
            await bench.settle(jobs[:2], duration_us=2_000)
            await bench.fail(jobs[2:3])
            await bench.fail(jobs[3:4], for_good=True)
            await bench.settle(jobs[4:], Cancelled("enough"))
        one = TenantFigures(
            succeeded=2,
            failed=1,
            cancelled=1,
            retried=1,
            duration_us=4_000,
            histogram={bucket_of(2_000): 2},
            dead=1,
        )
        assert await bench.tenant_figures("globex") == one
        assert await bench.tenant_figures(tenant) == TenantFigures(
            succeeded=4,
            failed=2,
            cancelled=2,
            retried=2,
            duration_us=8_000,
            histogram={bucket_of(2_000): 4},
            dead=2,
        )
        assert await bench.tenant_figures("nobody") == TenantFigures()
        figures = await bench.figures()
        assert (figures.succeeded, figures.failed, figures.cancelled, figures.retried) == (8, 4, 4, 4)

    async def test_the_figures_of_a_tenant_in_several_queues_come_in_the_order_asked_for(self, bench: Bench) -> None:
        await bench.send(*(bench.new(queue=queue, tenant="acme") for queue in ("first", "second", "second")))
        await bench.settle((await bench.claim(3, queues=["first", "second"])).jobs, duration_us=2_000)
        figures = await bench.broker.tenant_figures([(one, "acme") for one in ("second", "unused", "first")])
        assert [one.succeeded for one in figures] == [2, 0, 1]
        assert await bench.broker.tenant_figures([]) == []

    async def test_the_tenants_of_a_queue_are_listed_those_whose_figures_rose_last_first(self, bench: Bench) -> None:
        async def listed(limit: int = 10) -> list[list[str]]:
            found = await bench.broker.tenants([bench.queue, "unused"], limit)
            return [[one.tenant for one in ends] for ends in found]

        assert await listed() == [[], []]
        for tenant in ("größe: 1", "", "globex", "acme"):
            await bench.send(bench.new(tenant=tenant))
            await bench.settle((await bench.claim()).jobs)
            await bench.kit.advance(MINUTE_MS)
        assert await listed() == [["acme", "globex", "größe: 1"], []]
        await bench.send(bench.new(tenant="globex"), bench.new(tenant="waits", delay_ms=MONTH_MS))
        await bench.fail((await bench.claim()).jobs)
        assert await listed() == [["globex", "acme", "größe: 1"], []]
        assert await listed(2) == [["globex", "acme"], []]
        assert await listed(0) == [[], []]
        assert await bench.broker.tenants([], 10) == []

    async def test_the_list_of_tenants_goes_on_behind_any_of_them(self, bench: Bench) -> None:
        names = ["größe: 1", *(f"tenant-{number}" for number in range(5))]
        for part in (names[:1], names[1:4], names[4:]):
            await bench.send(*(bench.new(tenant=tenant) for tenant in part))
            await bench.settle((await bench.claim(10)).jobs)
            await bench.kit.advance(MINUTE_MS)

        async def listed(limit: int, after: TenantEnd | None = None) -> list[TenantEnd]:
            return (await bench.broker.tenants([bench.queue], limit, after))[0]

        whole = await listed(10)
        assert [one.tenant for one in whole] == [names[at] for at in (5, 4, 3, 2, 1, 0)]
        for at, one in enumerate(whole):
            assert await listed(10, one) == whole[at + 1 :]
            assert await listed(1, one) == whole[at + 1 : at + 2]
        # Behind one that isn't there any more, or that came to the front meanwhile.
        assert await listed(10, TenantEnd("tenant-11", whole[3].at_ms)) == whole[3:]
        [[*before], [*unused]] = await bench.broker.tenants([bench.queue, "unused"], 10, whole[0])
        assert (before, unused) == (whole[1:], [])
        await bench.send(bench.new(tenant=names[2]))
        await bench.settle((await bench.claim(10)).jobs)
        assert await listed(10, whole[3]) == whole[4:]

    async def test_pages_list_each_tenant_of_one_minute_once_whatever_the_names_are(self, bench: Bench) -> None:
        # In one order by their bytes, and in another by the rules of most languages.
        names = ["Beta", "Gamma", "acme", "acme-2", "Zeta", "delta", "a_b", "Ab"]
        await bench.bury_of(*names)
        seen: list[str] = []
        last: TenantEnd | None = None
        for _ in range(3):
            [page] = await bench.broker.tenants([bench.queue], 3, last)
            seen += [one.tenant for one in page]
            last = page[-1]
        assert sorted(seen) == sorted(names)

    async def test_it_is_told_when_jobs_of_some_tenants_ended_last(self, bench: Bench) -> None:
        await bench.bury_of("acme", "globex")
        [ends] = await bench.broker.tenants([bench.queue], 10)
        told = await bench.broker.tenant_ends(["unused", bench.queue], ["acme", "nobody"])
        assert told == [{}, {one.tenant: one.at_ms for one in ends if one.tenant == "acme"}]
        assert await bench.broker.tenant_ends([bench.queue], []) == [{}]
        assert await bench.broker.tenant_ends([], ["acme"]) == []

    async def test_a_tenant_is_listed_with_the_minute_in_which_its_figures_rose(self, bench: Bench) -> None:
        await bench.bury_of("acme")
        now_ms = (await bench.claim(0)).now_ms
        [[one]] = await bench.broker.tenants([bench.queue], 10)
        assert one.tenant == "acme"
        assert now_ms - 2 * MINUTE_MS < one.at_ms <= now_ms
        assert one.at_ms % MINUTE_MS == 0

    async def test_a_tenant_is_listed_for_a_month_and_while_jobs_of_it_are_dead(self, bench: Bench) -> None:
        await bench.send(bench.new(tenant="globex"))
        await bench.settle((await bench.claim()).jobs)
        [dead] = await bench.bury_of("acme")
        await bench.kit.advance(MONTH_MS + 3 * MINUTE_MS)
        await bench.broker.prune([bench.queue], 10 * MONTH_MS, 100)
        assert [one.tenant for one in (await bench.broker.tenants([bench.queue], 10))[0]] == ["acme"]
        await bench.broker.delete(bench.queue, [dead])
        await bench.broker.prune([bench.queue], 10 * MONTH_MS, 100)
        assert await bench.broker.tenants([bench.queue], 10) == [[]]

    async def test_ends_of_several_tenants_in_one_call_each_go_to_their_own(self, bench: Bench) -> None:
        await bench.send(*(bench.new(tenant=tenant) for tenant in ("acme", "globex", "", "acme")))
        await bench.settle((await bench.claim(4)).jobs)
        found = [(await bench.tenant_figures(tenant)).succeeded for tenant in ("acme", "globex")]
        assert found == [2, 1]

    async def test_a_settlement_that_comes_too_late_counts_for_no_tenant(self, bench: Bench) -> None:
        await bench.send(bench.new(tenant="acme"))
        late = (await bench.claim(1)).jobs
        await bench.lapse()
        await bench.recover()
        assert await bench.settle(late) == [False]
        assert await bench.tenant_figures("acme") == TenantFigures()
        assert await bench.broker.history(bench.queue, 10, tenant="acme") == []

    async def test_ends_without_a_settlement_are_counted_for_the_tenant_too(self, bench: Bench) -> None:
        ready, later, parked, unknown = await bench.send(
            bench.new(tenant="acme"),
            bench.new(tenant="acme", delay_ms=60_000),
            bench.new("other", tenant="acme"),
            bench.new("unknown", tenant="acme"),
        )
        await bench.cancel(ready)
        await bench.claim(names=frozenset({"work"}))
        for job_id in (later, parked):
            assert await bench.cancel(job_id) == "cancelled"
        await bench.kit.advance(5_001)
        assert (await bench.broker.unpark([bench.queue], frozenset(), 5_000)).moved == 1
        assert await bench.tenant_figures("acme") == TenantFigures(cancelled=3, failed=1, dead=1)
        history = await bench.broker.history(bench.queue, 10, tenant="acme")
        assert [(entry.id, entry.state, entry.name) for entry in history] == [
            (unknown, "failed", "unknown"),
            (parked, "cancelled", "other"),
            (later, "cancelled", "work"),
            (ready, "cancelled", "work"),
        ]

    async def test_the_dead_and_the_cancelled_of_a_recovery_are_counted_for_their_tenants(self, bench: Bench) -> None:
        doomed, marked = await bench.send(bench.new(tenant="acme", acks_early=True), bench.new(tenant="globex"))
        await bench.claim()
        await bench.cancel(marked)
        await bench.lapse()
        await bench.recover()
        assert await bench.tenant_figures("acme") == TenantFigures(failed=1, dead=1)
        assert await bench.dead_of("acme") == [doomed]
        assert await bench.tenant_figures("globex") == TenantFigures(cancelled=1)
        [entry] = await bench.broker.history(bench.queue, 10, tenant="globex")
        assert (entry.id, entry.name, entry.error) == (marked, "work", "enough")

    async def test_the_history_of_a_tenant_tells_the_latest_ends_first_and_their_names(self, bench: Bench) -> None:
        sent = await bench.send(
            bench.new(tenant="acme"), bench.new("other", tenant="acme"), bench.new(tenant="globex"), bench.new()
        )
        await bench.settle((await bench.claim()).jobs)
        history = await bench.broker.history(bench.queue, 10, tenant="acme")
        assert [(entry.id, entry.state, entry.name) for entry in history] == [
            (sent[1], "completed", "other"),
            (sent[0], "completed", "work"),
        ]
        assert await bench.broker.history(bench.queue, 1, tenant="acme") == history[:1]
        assert await bench.broker.history(bench.queue, 0, tenant="acme") == []
        of_name = await bench.broker.history(bench.queue, 10, name="work")
        assert [(entry.id, entry.name) for entry in of_name] == [(one, "work") for one in (sent[3], sent[2], sent[0])]

    async def test_the_history_of_a_tenant_is_capped(self, bench: Bench) -> None:
        sent = []
        for count in (30, 150):
            sent += await bench.send(*(bench.new(tenant="acme") for _ in range(count)))
            await bench.settle((await bench.claim(count)).jobs)
        history = await bench.broker.history(bench.queue, 5_000, tenant="acme")
        assert [entry.id for entry in history] == sent[:-101:-1]

    async def test_counters_and_history_end_a_month_after_the_last_end_and_the_dead_stay(self, bench: Bench) -> None:
        [dead] = await bench.bury_of("acme")
        await bench.kit.advance(MONTH_MS - 10_000)
        await bench.bury_of("globex")
        await bench.kit.advance(10_001)
        assert await bench.tenant_figures("acme") == TenantFigures(dead=1)
        assert await bench.broker.history(bench.queue, 10, tenant="acme") == []
        assert await bench.tenant_figures("globex") == TenantFigures(failed=1, dead=1)
        await bench.send(bench.new(tenant="acme"))
        await bench.settle((await bench.claim()).jobs)
        assert (await bench.tenant_figures("acme")).failed == 0
        assert await bench.dead_of("acme") == [dead]

    async def test_whoever_leaves_the_dead_letter_queue_leaves_the_tenants_too(self, bench: Bench) -> None:
        retried, deleted, stays, other = await bench.bury(
            *(
                bench.new(tenant=tenant)
                for tenant in (
                    "acme",
                    "acme",
                    "acme",
                    "globex",
                )
            )
        )
        assert await bench.broker.retry(bench.queue, [retried, retried]) == [True, False]
        assert await bench.broker.delete(bench.queue, [deleted, deleted]) == [True, False]
        assert await bench.dead_of("acme") == [stays]
        # The retried job and the deleted one, which is sent again, die again.
        await bench.send(bench.new(job_id=deleted, tenant="globex"))
        await bench.fail((await bench.claim()).jobs, for_good=True)
        assert sorted(await bench.dead_of("acme")) == [retried, stays]
        assert sorted(await bench.dead_of("globex")) == [deleted, other]
