"""Keeps what changes seldom and takes long to read, so that open pages don't read it again every few seconds."""

from __future__ import annotations

import time
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from asyncjobs.admin.api.route import Call
from asyncjobs.app import App

__all__ = ["kept"]

T = TypeVar("T")

# How many answers are kept for one app.
_MAX_KEPT = 64

_kept: weakref.WeakKeyDictionary[App, OrderedDict[tuple[object, ...], tuple[float, Any]]] = weakref.WeakKeyDictionary()


async def kept(call: Call[Any], what: tuple[object, ...], max_age_s: float, load: Callable[[], Awaitable[T]]) -> T:
    """Return what ``load`` returns, or has returned for such a caller at most ``max_age_s`` ago.

    Args:
        call: The caller.
        what: What is read.
        max_age_s: How old it may be, in seconds.
        load: Reads it, and refuses callers that may not see it.
    """
    access = call.access
    scope = [None if one is None else tuple(one) for one in (access.queues, access.tenants)]
    key, own = (*what, access.permissions, *scope), _kept.setdefault(call.app, OrderedDict())
    now = time.monotonic()
    at, before = own.get(key, (float("-inf"), None))
    if now - at < max_age_s:
        known: T = before
        return known
    found = await load()
    own[key] = now, found
    own.move_to_end(key)
    if len(own) > _MAX_KEPT:
        own.popitem(last=False)
    return found
