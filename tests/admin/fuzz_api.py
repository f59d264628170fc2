"""`nox -s api_fuzz`: sends to each route what the OpenAPI document allows, and what it doesn't: no reply is a 500."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from asyncjobs.admin.api.app import ROUTES
from asyncjobs.admin.api.openapi import document
from tests.admin.conftest import served

schema = schemathesis.openapi.from_dict(document(ROUTES, "/"))


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    """The address of an admin API whose jobs have hostile texts in all places."""
    with served("tests.admin.odd_shop", "/0") as url:
        yield f"{url.removesuffix('/0')}/api"


@schema.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_makes_the_api_fail(case: Any, api: str) -> None:
    if isinstance(case.query, dict):
        # A long poll ends by itself, after ten seconds.
        case.query.pop("wait", None)
    reply = case.call(base_url=api, timeout=20)
    assert reply.status_code < 500, reply.text
