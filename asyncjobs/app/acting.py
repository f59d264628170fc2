"""Who acts: whom the audit and the reasons of holds name, and from where."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from collections.abc import Iterator
from contextvars import ContextVar
from typing import NamedTuple

from asyncjobs.core.options import checked_text
from asyncjobs.core.text import storable

__all__ = ["NOTE_CHARS", "Actor", "acting", "actor", "is_acting"]

_NAME_CHARS = 200

#: How many characters of a reason or a note are kept.
NOTE_CHARS = 500


class Actor(NamedTuple):
    """Who acts, and from where."""

    by: str
    """Who: a user, or the process."""
    via: str
    """From where, such as ``cli``."""
    note: str
    """Why, for all that is done."""


_actor: ContextVar[Actor | None] = ContextVar("asyncjobs_actor", default=None)


@contextlib.contextmanager
def acting(by: str, via: str = "python", *, note: str = "") -> Iterator[None]:
    """Let what the code of a ``with`` block does by hand be noted under a name, for ``app.audit()``.

    Inside, each verb that changes something is noted. Outside, those are that pause, suspend, or change many jobs at
    once, under the name of the process; but not what a program does to single jobs and schedules.

    Args:
        by: Who acts, such as a user's e-mail address; at most 200 characters are kept.
        via: From where. The command line says ``cli``, the admin API ``api``, and the dashboard ``dashboard``.
        note: Why, for each entry that gets no reason of its own; at most 500 characters are kept.

    Raises:
        ArgumentsError: An argument is no text.

    Example:
        ```python
        with acting("ada@example.com", via="support-tool", note="ticket 4711"):
            await app.retry_failed(name="send_email")
        ```
    """
    names = [
        checked_text(name, storable(given) if isinstance(given, str) else given)[:_NAME_CHARS]
        for name, given in (("by", by), ("via", via))
    ]
    token = _actor.set(Actor(names[0], names[1], checked_text("note", note)[:NOTE_CHARS]))
    try:
        yield
    finally:
        _actor.reset(token)


def is_acting() -> bool:
    """Return whether the code around runs inside a block of ``acting``."""
    return _actor.get() is not None


def actor() -> Actor:
    """Return who acts here; outside of ``acting``, this process."""
    return _actor.get() or Actor(_process(os.getpid()), "python", "")


@functools.cache
def _process(pid: int) -> str:
    return storable(f"{socket.gethostname()}:{pid}")[:_NAME_CHARS]
