"""A handler is called as a plain function, with a made-up job."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from asyncjobs import AppNotOpen, ArgumentsError, current_job, current_tenant
from asyncjobs.testing import Kit, fake_job
from tests.kit.shop import Shop, job_of_no_app

pytestmark = pytest.mark.anyio


async def test_a_handler_is_called_as_a_plain_function_with_a_made_up_job(shop: Shop) -> None:
    @shop.app.job
    async def export(path: str) -> str:
        context = current_job()
        context.progress(1, 2, path)
        context.emit({"path": path})
        context.log.info("exported %s", path)
        tenant = current_tenant()
        return f"{context.attempt} {context.metadata} {context.id} {tenant and tenant.tenant_id}"

    with fake_job(attempt=3, metadata={"order": 7}, tenant="acme", job_id="export-1") as made_up:
        assert await export("a.csv") == "3 {'order': 7} @acme:export-1 acme"

    assert [event.kind for event in made_up.events] == ["progress", "data", "log"]
    assert made_up.events[1].data == {"path": "a.csv"}
    assert made_up.last_progress == (1, 2, "a.csv")
    with pytest.raises(LookupError):
        current_job()


async def test_a_made_up_job_sends_with_the_open_app(shop: Shop, kit: Kit) -> None:
    with fake_job():
        await job_of_no_app.delay(1)
        await shop.send.delay("ada")

    assert len(kit.sent()) == 2


async def test_a_made_up_job_without_an_open_app_says_so() -> None:
    with fake_job(), pytest.raises(AppNotOpen, match="job_of_no_app"):
        await job_of_no_app.delay(1)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"attempt": 0}, "attempt=0"),
        ({"priority": "soon"}, "soon"),
        ({"tenant": ""}, "tenant"),
        ({"deadline": datetime(2026, 1, 1)}, "aware"),  # noqa: DTZ001
    ],
)
def test_a_wrong_option_of_a_made_up_job_is_refused(options: Any, problem: str) -> None:
    with pytest.raises(ArgumentsError, match=problem), fake_job(**options):
        pass
