"""Warns of jobs that wait because the worker has no handler of their name."""

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
    """Logs unknown names, each once a minute.

    Args:
        monotonic: A clock in seconds.
        grace_s: How long jobs of an unknown name wait before they go to the dead letter queue, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float], grace_s: float) -> None:
        self._monotonic = monotonic
        self._grace_s = grace_s
        self._logged_at: dict[str, float] = {}

    def warn(self, found: Iterable[tuple[str, str]]) -> None:
        """Log the names that are due.

        Args:
            found: The queues and the names of jobs that wait now.
        """
        now = self._monotonic()
        # Only what was logged lately, so that names don't pile up.
        self._logged_at = {name: at for name, at in self._logged_at.items() if now - at < _REPEAT_AFTER_S}
        queues: dict[str, list[str]] = {}
        for queue, name in found:
            if name not in self._logged_at:
                queues.setdefault(name, []).append(queue)
        self._logged_at.update(dict.fromkeys(queues, now))
        texts = [f"{name!r} (queue {', '.join(where)})" for name, where in queues.items()]
        for start in range(0, len(texts), _NAMES_A_LINE):
            _log.warning(
                "jobs wait, since this worker has no handler of their name: %s. Import the module that defines it "
                "(asyncjobs worker --import MODULE), or if the job was renamed, give it this name as an alias. Jobs of "
                "a name that no worker knows go to the dead letter queue after %g s (unknown_job_grace)",
                ", ".join(texts[start : start + _NAMES_A_LINE]),
                self._grace_s,
            )
