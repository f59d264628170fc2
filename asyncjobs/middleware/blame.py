"""Which layer of middleware raised an error."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Sequence

from asyncjobs.middleware.base import Middleware
from asyncjobs.middleware.chain import overrides, run_handler

__all__ = ["layer_that_raised"]


def layer_that_raised(error: BaseException, layers: Sequence[Middleware]) -> str | None:
    """Return the name of the layer that raised ``error`` while a job ran, ``None`` if the handler did.

    A layer is in the traceback of every error that passes it, so being there is no proof. But an error from further in
    has ``run_handler`` in its traceback too, which stands between the layers and the handler. Without it, the innermost
    layer of the traceback raised the error.
    """
    names = {
        getattr(inspect.unwrap(type(one).process), "__code__", None): type(one).__qualname__
        for one in layers
        if overrides(one, "process")
    }
    found: str | None = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code is run_handler.__code__:
            return None
        found = names.get(frame.f_code, found)
    return found
