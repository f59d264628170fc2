"""What the themes of the suite share."""

from __future__ import annotations

import pytest

from asyncjobs.testing.conformance.kit import Bench, BrokerKit

__all__ = ["Theme"]


@pytest.mark.anyio
class Theme:
    """Tests of one part of the promise, on a bench made of the subclass's ``kit``."""

    @pytest.fixture
    def bench(self, kit: BrokerKit) -> Bench:
        """Verbs on one queue of the broker under test."""
        return Bench(kit)
