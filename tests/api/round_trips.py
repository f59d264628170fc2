"""A value as the argument, and as the result, of a handler that is annotated with its type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from asyncjobs.jobs.signature import Signature

__all__ = ["handler_of", "round_trip", "signature_of"]


def handler_of(annotation: Any) -> Callable[..., Any]:
    """Return a handler whose one argument and whose result are so annotated."""

    def work(argument):  # type: ignore[no-untyped-def]
        return argument

    work.__annotations__ = {"argument": annotation, "return": annotation}
    return work


def signature_of(annotation: Any) -> Signature:
    """Return the signature of that handler."""
    return Signature(handler_of(annotation), "work")


def round_trip(annotation: Any, value: Any) -> Any:
    """Send ``value`` as the argument, and return what arrives."""
    signature = signature_of(annotation)
    raw, keywords = signature.encode((value,), {})
    (arrived,), _ = signature.decode(msgspec.Raw(raw), keywords)
    return arrived
