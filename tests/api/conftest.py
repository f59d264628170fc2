"""Jobs of the app that tests are about."""

from __future__ import annotations

from typing import Any

import pytest

from asyncjobs import App, JobDefinition, RetryPolicy


@pytest.fixture
def pay(app: App) -> JobDefinition[..., Any]:
    @app.job
    async def pay(amount: int = 1) -> int:
        return amount

    return pay


@pytest.fixture
def fail(app: App) -> JobDefinition[..., Any]:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def fail() -> None:
        raise LookupError("no")

    return fail
