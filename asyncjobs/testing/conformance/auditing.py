"""``Operations``: what was done by hand, how jobs are defined, and what keeps them."""

from __future__ import annotations

import msgspec

from asyncjobs.ports import AuditRecord, CatalogueEntry
from asyncjobs.testing.conformance.bench import Bench
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Auditing"]


class Auditing(Theme):
    """What ``audit``, ``audits``, ``publish_catalogue``, ``catalogue``, deploys and ``server`` promise."""

    async def test_what_was_done_is_noted_latest_first(self, bench: Bench) -> None:
        assert await bench.broker.audits("", 10) == []
        pause = AuditRecord(
            by="ada@example.com", via="dashboard", verb="pause", queue="mail", subject="mail", note="«smtp» migration"
        )
        retry = AuditRecord(by="bob", via="cli", verb="retry_failed", filter={"error": "OSError"}, count=2_031)
        await bench.broker.audit(pause)
        await bench.broker.audit(retry)
        found = await bench.broker.audits("", 10)
        assert [msgspec.structs.replace(one, id="", at_ms=0) for one in found] == [retry, pause]
        assert 0 < found[1].at_ms <= found[0].at_ms

    async def test_what_was_done_is_read_in_pages(self, bench: Bench) -> None:
        for number in range(25):
            await bench.broker.audit(AuditRecord(by="ada", via="cli", verb="retry_job", subject=f"job-{number}"))
        read: list[str] = []
        before = ""
        while page := await bench.broker.audits(before, 10):
            read += [one.subject for one in page]
            before = page[-1].id
        assert read == [f"job-{number}" for number in reversed(range(25))]
        assert await bench.broker.audits("", 0) == []

    async def test_the_latest_definition_of_a_job_is_known(self, bench: Bench) -> None:
        assert await bench.broker.catalogue() == {}
        charge = CatalogueEntry(
            name="shop.charge", queue="payments", parameters=("order", "card"), secret=("card",), summary="Charge it."
        )
        ship = CatalogueEntry(name="shop.ship", queue="default", parameters=("order",))
        await bench.broker.publish_catalogue([charge, ship])
        await bench.broker.publish_catalogue([])
        assert await bench.broker.catalogue() == {"shop.charge": charge, "shop.ship": ship}
        changed = msgspec.structs.replace(charge, parameters=("order", "card", "amount"))
        await bench.broker.publish_catalogue([changed])
        assert await bench.broker.catalogue() == {"shop.charge": changed, "shop.ship": ship}

    async def test_the_names_that_are_kept_are_bounded(self, bench: Bench) -> None:
        for start in range(0, 5_200, 520):
            await bench.broker.publish_catalogue(
                [CatalogueEntry(name=f"job-{number}") for number in range(start, start + 520)]
            )
        await bench.broker.publish_catalogue([CatalogueEntry(name="job-1", summary="changed")])
        catalogue = await bench.broker.catalogue()
        assert len(catalogue) == 5_000
        assert catalogue["job-1"].summary == "changed"

    async def test_the_last_deploys_are_known_with_the_time_at_which_each_began(self, bench: Bench) -> None:
        assert await bench.broker.deploys() == {}
        for deploy, began_ms in (("b", 2_000), ("a", 3_000), ("a", 1_000), ("b", 4_000)):
            await bench.broker.note_deploy(deploy, began_ms)
        assert [*(await bench.broker.deploys()).items()] == [("a", 1_000), ("b", 2_000)]
        for number in range(100):
            await bench.broker.note_deploy(f"deploy-{number}", 10_000 + number)
        kept = await bench.broker.deploys()
        assert len(kept) == 100
        assert next(iter(kept)) == "deploy-0"

    async def test_the_broker_says_what_keeps_the_jobs(self, bench: Bench) -> None:
        state = await bench.broker.server()
        assert state.nodes
        for node in state.nodes:
            assert node.version
            assert node.role == "primary"
            assert node.policy == "noeviction"
            assert node.refused == ()
