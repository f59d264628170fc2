"""The web app, by the test client of FastAPI, which runs it in another thread and loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from asyncjobs import AppNotOpen
from asyncjobs.testing import Kit
from orders import app, confirm, invoice, mailbox
from web import web


@pytest.fixture
def client(jobs: Kit) -> Iterator[TestClient]:
    """A client of the running web app, which has opened the app on the kit."""
    with TestClient(web) as opened:
        yield opened


def test_an_order_sends_its_jobs(jobs: Kit, client: TestClient) -> None:
    answer = client.post("/orders/1007", params={"address": "ada@example.com"})

    assert answer.status_code == 202
    jobs.assert_sent(confirm, "ada@example.com", 1007)
    jobs.run_for_sync(0)
    assert mailbox == ["ada@example.com: 1007"]


def test_an_order_is_refused_while_the_broker_is_away(jobs: Kit, client: TestClient) -> None:
    with jobs.broker_away():
        answer = client.post("/orders/1007", params={"address": "ada@example.com"})

    assert answer.status_code == 503
    assert jobs.sent() == []


def test_a_request_runs_its_jobs(eager_jobs: Kit) -> None:
    with TestClient(web) as client:
        client.post("/orders/1007", params={"address": "ada@example.com"})

    assert mailbox == ["ada@example.com: 1007"]
    assert [one.name for one in eager_jobs.attempts] == ["confirm", "invoice"]
    eager_jobs.assert_sent(invoice, 1007)


def test_a_forgotten_lifespan_is_found() -> None:
    with app.testing(opened=False):
        # Without `with`, the client doesn't run the lifespan, as if the web app had none.
        with pytest.raises(AppNotOpen, match="lifespan"):
            TestClient(web).post("/orders/1007", params={"address": "ada@example.com"})
        with TestClient(web) as client:
            assert client.post("/orders/1007", params={"address": "ada@example.com"}).status_code == 202
