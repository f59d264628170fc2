"""Collects a row a scenario and prints the table at the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.harness import Report

_ROWS: list[Report] = []


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """The row of this scenario."""
    row = Report(request.node.name.removeprefix("test_"))
    _ROWS.append(row)
    return row


@pytest.fixture
def assert_nothing_lost() -> Callable[[Report], None]:
    """Check the two figures that must be zero, and that there was something to lose."""

    def check(row: Report) -> None:
        assert row.accepted > 0
        assert (row.lost, row.doubled) == (0, 0), row.row()

    return check


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _ROWS:
        return
    table = [Report.HEAD, *(row.row() for row in _ROWS)]
    widths = [max(len(row[n]) for row in table) for n in range(len(Report.HEAD))]
    terminalreporter.section("faults")
    for row in table:
        terminalreporter.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
