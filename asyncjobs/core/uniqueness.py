"""Which jobs count as one: what ``@job(unique=…)`` and ``@job(debounce=…)`` say, and the rule that a broker keeps."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from asyncjobs.core.bounds import shown
from asyncjobs.core.duration import Duration, to_ms
from asyncjobs.errors import ArgumentsError

__all__ = ["Debounce", "OnConflict", "Unique", "UniqueRule", "Until", "digest"]

Until = Literal["end", "start"]
"""Until when a job keeps others of its key out: until its end, or until its first attempt starts."""

OnConflict = Literal["keep", "replace", "raise"]
"""What a send does that meets another job of its key."""

# 16 bytes in base64 without padding, which leaves room for more in the header.
_DIGEST_BYTES = 16


class UniqueRule(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How a job is unique in its queue: its key, and what a send does that meets another job of this key."""

    key: str
    """The key, which names the job name, the tenant and the arguments that count. Jobs of one key have the
    same name and tenant."""
    until: Until = "end"
    """Until when a job holds the key."""
    on_conflict: OnConflict = "keep"
    """What a send does that meets the holder. With ``raise`` the broker does what ``keep`` does."""
    within_ms: int = 0
    """For how long after it was sent a job holds the key although it has completed, in milliseconds."""
    wait_ms: int = 0
    """Of a debounced job, how long it waits from the last send on, in milliseconds; 0 for other jobs."""
    at_most_ms: int = 0
    """Of a debounced job, how long it waits from the first send on at most, in milliseconds; 0 for no limit."""


class Unique(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls of a job count as one, so that only the first makes a job.

    Raises:
        ArgumentsError: A value is wrong. The message names it.

    Example:
        ```python
        @app.job(unique=Unique(by="user_id"))
        async def sync(user_id: int) -> None: ...
        ```
    """

    by: str | Sequence[str] | None = None
    """The parameter, or the parameters, whose values must be equal; by default all of them. An empty list stands for
    none: then one job of the name is there at a time."""
    until: Until = "end"
    """Until when a job keeps others out: until it has ended or is dead (``end``), or until its first attempt starts
    (``start``)."""
    within: Duration | None = None
    """For how long after it was sent a job keeps others out although it has completed: seconds or ``timedelta``."""
    on_conflict: OnConflict = "keep"
    """What a send does that meets another job: nothing (``keep``), it gives its arguments to the other one unless that
    has started (``replace``), or it raises ``AlreadySent`` (``raise``)."""

    def __post_init__(self) -> None:
        _checked_by(self.by)
        if not isinstance(self.until, str) or self.until not in ("end", "start"):
            raise ArgumentsError(f"until={shown(self.until)}: expected 'end' or 'start'")
        if not isinstance(self.on_conflict, str) or self.on_conflict not in ("keep", "replace", "raise"):
            raise ArgumentsError(f"on_conflict={shown(self.on_conflict)}: expected 'keep', 'replace' or 'raise'")
        self._within_ms()

    def _within_ms(self) -> int:
        return 0 if self.within is None else to_ms("within", self.within, least_ms=1)

    def rule(self, key: str) -> UniqueRule:
        """Return the rule for jobs with the key ``key``."""
        return UniqueRule(key, self.until, self.on_conflict, self._within_ms())


class Debounce(msgspec.Struct, frozen=True):
    """How long a job waits for calls to calm down: it runs once, with the arguments of the last call.

    Raises:
        ArgumentsError: A value is wrong. The message names it.

    Example:
        ```python
        @app.job(debounce=Debounce(5, by="document_id", at_most=60))
        async def index(document_id: int, text: str) -> None: ...
        ```
    """

    wait: Duration
    """How long after the last call the job starts: seconds or ``timedelta``."""
    by: str | Sequence[str] | None = None
    """The parameter, or the parameters, whose values must be equal, as of ``Unique``."""
    at_most: Duration | None = None
    """How long after the first call the job starts although calls go on; by default there is no limit."""

    def __post_init__(self) -> None:
        _checked_by(self.by)
        wait_ms = to_ms("wait", self.wait, least_ms=1)
        if self.at_most is not None and to_ms("at_most", self.at_most) < wait_ms:
            raise ArgumentsError(
                f"at_most={shown(self.at_most)}: expected as long as wait={shown(self.wait)} or longer, or the job "
                "would never wait so long"
            )

    def rule(self, key: str) -> UniqueRule:
        """Return the rule for jobs with the key ``key``."""
        at_most_ms = 0 if self.at_most is None else to_ms("at_most", self.at_most)
        return UniqueRule(key, "start", "replace", 0, to_ms("wait", self.wait), at_most_ms)


def _checked_by(by: Any) -> None:
    names = [by] if isinstance(by, str) else by
    if names is not None and not (isinstance(names, list | tuple) and all(isinstance(one, str) for one in names)):
        raise ArgumentsError(f"by={shown(by)}: expected the name of a parameter, or several, as in ['user_id', 'day']")


def digest(*parts: str | bytes) -> str:
    """Return 22 characters that no other ``parts`` have."""
    found = hashlib.blake2b(msgspec.msgpack.encode(parts), digest_size=_DIGEST_BYTES).digest()
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode()
