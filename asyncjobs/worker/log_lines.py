"""The form of log records on a stream that may be a terminal."""

from __future__ import annotations

import logging

from asyncjobs.core.text import escaped

__all__ = ["LogLines", "escape_last_resort"]


def escape_last_resort() -> None:
    """Use ``LogLines`` for warnings of a program that has set up no log, which Python writes to standard error."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(LogLines())


class LogLines(logging.Formatter):
    """Escapes control characters, and indents all lines of a record but the first, so that none looks like another."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n    ".join(map(escaped, super().format(record).split("\n")))
