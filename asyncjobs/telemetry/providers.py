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
    """Return whether ``provider`` is an SDK's.

    The API's own providers do nothing, or stand for one that may be set later. They are recognised by the module that
    defines them, since the API has no public name for all of them.
    """
    return not type(provider).__module__.startswith(_NOTHING)


class Late(Generic[P, T]):
    """What ``make`` makes with a provider, once there is a real one.

    Args:
        given: The provider, or ``None`` for the global one.
        find: Returns the global provider as it is now.
        make: Makes the instruments; ``None`` where the SDK is switched off.
    """

    def __init__(self, given: P | None, find: Callable[[], P], make: Callable[[P], T | None]) -> None:
        self._given = given
        self._find = find
        self._make = make
        self._made: T | None = None
        self._ask_at = -float("inf")

    def get(self) -> T | None:
        """Return what was made, or ``None`` while there is no SDK; an SDK that is set up late is found within 0.1 s."""
        if self._made is None and (now := time.monotonic()) >= self._ask_at:
            self._ask_at = now + _ASK_AGAIN_S
            provider = self._given or self._find()
            if is_real(provider):
                self._made = self._make(provider)
        return self._made
