"""The base of the themes of the suite."""

from __future__ import annotations

import pytest

from asyncjobs.testing.conformance.bench import Bench
from asyncjobs.testing.conformance.kit import BrokerKit

__all__ = ["Theme"]


@pytest.mark.anyio
class Theme:
    """The base of a theme: tests of one part of a port, on a bench that is made from the subclass's ``kit``."""

    @pytest.fixture
    def bench(self, kit: BrokerKit) -> Bench:
        """Return short verbs on one queue of the broker of ``kit``."""
        return Bench(kit)
