"""What the tests share."""

from __future__ import annotations

import pytest

from orders import charged, mailbox


@pytest.fixture
def anyio_backend() -> str:
    """The backend on which anyio's plugin runs tests: jobs need asyncio."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _the_world_is_new() -> None:
    mailbox.clear()
    charged.clear()
