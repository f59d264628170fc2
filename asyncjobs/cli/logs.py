"""The log of a worker process, on standard error."""

from __future__ import annotations

import logging
import sys

from asyncjobs.cli.escaping import escaped

__all__ = ["log_to_stderr"]

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_to_stderr(level: str) -> None:
    """Log records of ``level`` and above, also those of the handlers, unless the program has set up its own log.

    Args:
        level: The name of the level, as ``--log-level`` takes it.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler])


class _Lines(logging.Formatter):
    """Escapes control characters, and indents all lines of a record but the first, so that none looks like another."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n    ".join(map(escaped, super().format(record).split("\n")))
