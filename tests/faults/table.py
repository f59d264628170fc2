"""A plugin of pytest: collects a row a scenario and prints the table at the end.

It reads the reports of tests, since the process that prints may be another than those that run the tests.
"""

from __future__ import annotations

import pytest

from tests.faults.harness import Report

__all__ = ["ROW"]

#: The name of the property of a test that holds its row.
ROW = "fault"
_ROWS: list[tuple[str, ...]] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown":
        _ROWS.extend(tuple(value) for name, value in report.user_properties if name == ROW)  # type: ignore[arg-type]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _ROWS:
        return
    table = [Report.HEAD, *_ROWS]
    widths = [max(len(row[n]) for row in table) for n in range(len(Report.HEAD))]
    terminalreporter.section("faults")
    for row in table:
        terminalreporter.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
