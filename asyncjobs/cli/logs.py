"""The log of a worker process, on standard error."""

from __future__ import annotations

import logging
import sys

from asyncjobs.worker.log_lines import LogLines

__all__ = ["log_to_stderr"]


def log_to_stderr(level: str) -> None:
    """Log records of ``level`` and above, also those of the handlers, unless the program has set up its own log.

    Args:
        level: The name of the level, as ``--log-level`` takes it.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogLines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
