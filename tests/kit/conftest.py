"""The app of these tests, and its kit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asyncjobs.testing import Kit
from tests.kit.shop import Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def kit(shop: Shop) -> Iterator[Kit]:
    with shop.app.testing() as opened:
        yield opened


@pytest.fixture
def eager(shop: Shop) -> Iterator[Kit]:
    with shop.app.testing(eager=True) as opened:
        yield opened
