"""Tells a server that did not answer in time from a program that did not read its answer in time."""

from __future__ import annotations

import asyncio

import redis.exceptions

__all__ = ["LoopBlocked", "timed_out"]

# From so long a delay of a timer on, the loop was blocked.
_BLOCKED_S = 0.5


class LoopBlocked(redis.exceptions.TimeoutError):
    """No reply was read in time, since this process's event loop was blocked: nothing is known of the server."""


def timed_out(bound: asyncio.Timeout, timeout: float) -> redis.exceptions.TimeoutError:
    """Return the error of a call that ``bound`` has just cancelled, after ``timeout`` seconds."""
    when, now = bound.when(), asyncio.get_running_loop().time()
    late_s = 0.0 if when is None else now - when
    if late_s < _BLOCKED_S:
        return redis.exceptions.TimeoutError(f"no reply within {timeout:g} s")
    return LoopBlocked(f"the event loop of this process was blocked, for {late_s:.1f} s or more")
