"""Apps that encrypt."""

from __future__ import annotations

from typing import Any

import pytest

from asyncjobs import App, RetryPolicy, current_job
from tests.security.encrypting import MakeApp


@pytest.fixture
def make(make_app: MakeApp) -> MakeApp:
    """Return a function that makes apps on one broker which have the same jobs, with the given keys."""

    def with_jobs(*keys: str, **settings: Any) -> App:
        app = make_app(encryption_keys=keys, **settings)

        @app.job(name="charge", retry=RetryPolicy(max_retries=0))
        async def charge(card: str, *, fails: bool = False) -> str:
            current_job().progress(1, note=card)
            current_job().emit({"card": card})
            if fails:
                raise ValueError(f"{card} is refused")
            return f"charged {card}"

        @app.job(name="refund")
        async def refund(card: str) -> str:
            return f"refunded {card}"

        return app

    return with_jobs
