"""What the scenarios of faults share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.faults import table
from tests.faults.harness import Report


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Iterator[Report]:
    """The row of this scenario."""
    row = Report(request.node.name.removeprefix("test_"))
    yield row
    request.node.user_properties.append((table.ROW, row.row()))


@pytest.fixture
def assert_nothing_lost() -> Callable[[Report], None]:
    """Check the two figures that must be zero, and that there was something to lose."""

    def check(row: Report) -> None:
        assert row.accepted > 0
        assert (row.lost, row.doubled) == (0, 0), row.row()

    return check
