"""Tells whether an SDK is there: without one, telemetry must cost next to nothing."""

from __future__ import annotations

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

__all__ = ["is_real"]

_NOTHING = ("opentelemetry.trace", "opentelemetry.metrics")


def is_real(provider: TracerProvider | MeterProvider) -> bool:
    """Say whether ``provider`` makes anything of what it is given.

    The API's own providers don't: they do nothing, or stand for one that may be set later. They are known by where
    they are defined, as the API has no public name for all of them.
    """
    return not type(provider).__module__.startswith(_NOTHING)
