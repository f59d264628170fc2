"""Warns of names that the worker has no handler of: those of jobs that wait, and of schedules that don't fire."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

__all__ = ["UnknownNames"]

_log = logging.getLogger("asyncjobs.worker")

# A name is logged again after this time, while jobs of it still wait.
_REPEAT_AFTER_S = 60.0

# Senders may choose any number of names, so several share a line.
_NAMES_A_LINE = 20


class UnknownNames:
    """Logs unknown names, each once a minute, and what to do.

    Args:
        monotonic: A clock in seconds.
        what: What they lead to, as the line begins.
        until: What becomes of that, as the line ends.
    """

    def __init__(self, monotonic: Callable[[], float], what: str, until: str = "") -> None:
        self._monotonic = monotonic
        self._what = what
        self._until = until
        self._logged_at: dict[str, float] = {}

    def warn(self, found: Iterable[tuple[str, str]]) -> None:
        """Log the names that are due.

        Args:
            found: The queues and the names.
        """
        now = self._monotonic()
        # Only what was logged lately, so that names don't pile up.
        self._logged_at = {name: at for name, at in self._logged_at.items() if now - at < _REPEAT_AFTER_S}
        queues: dict[str, dict[str, None]] = {}
        for queue, name in found:
            if name not in self._logged_at:
                queues.setdefault(name, {})[queue] = None
        self._logged_at.update(dict.fromkeys(queues, now))
        texts = [f"{name!r} (queue {', '.join(where)})" for name, where in queues.items()]
        for start in range(0, len(texts), _NAMES_A_LINE):
            _log.warning(
                "%s, since this worker has no handler of their name: %s. Import the module that defines it "
                "(asyncjobs worker --import MODULE), or if the job was renamed, give it this name as an alias.%s",
                self._what,
                ", ".join(texts[start : start + _NAMES_A_LINE]),
                self._until,
            )
