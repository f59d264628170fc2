"""Finds the SDK, also one that is set up late: without one, telemetry must cost next to nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

__all__ = ["Late", "is_real"]

P = TypeVar("P", bound=TracerProvider | MeterProvider)
T = TypeVar("T")

_NOTHING = ("opentelemetry.trace", "opentelemetry.metrics")

# To ask the API for its provider costs most of what a layer without an SDK does: it looks into the environment.
_ASK_AGAIN_S = 0.1


def is_real(provider: TracerProvider | MeterProvider) -> bool:
    """Say whether ``provider`` makes anything of what it is given.

    The API's own providers don't: they do nothing, or stand for one that may be set later. They are known by where
    they are defined, as the API has no public name for all of them.
    """
    return not type(provider).__module__.startswith(_NOTHING)


class Late(Generic[P, T]):
    """What is made with a provider, once there is a real one: ``given``, or the global one that ``find`` returns."""

    def __init__(self, given: P | None, find: Callable[[], P], make: Callable[[P], T | None]) -> None:
        self._given = given
        self._find = find
        self._make = make
        self._made: T | None = None
        self._ask_at = -float("inf")

    def get(self) -> T | None:
        """Return it, or ``None`` while there is no SDK; one that is set up meanwhile is found within 0.1 seconds."""
        if self._made is None and (now := time.monotonic()) >= self._ask_at:
            self._ask_at = now + _ASK_AGAIN_S
            provider = self._given or self._find()
            if is_real(provider):
                self._made = self._make(provider)
        return self._made
