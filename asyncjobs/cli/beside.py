"""Work in a thread beside a block of code."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

__all__ = ["beside"]


@contextlib.contextmanager
def beside(name: str, work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run ``work`` in a thread until the block is left, which then waits for its end.

    Args:
        name: The name of the thread.
        work: The function. It returns soon after the event that it is given has been set.
    """
    ended = threading.Event()
    thread = threading.Thread(target=work, args=(ended,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
