"""The signals that stop a worker: handled while it runs, and in its own process alone."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["stop_signals", "stopping_on_signals"]

# A service manager, Ctrl-C, and a terminal that closes.
_STOP_SIGNALS = [one for one in signal.Signals if one.name in ("SIGTERM", "SIGINT", "SIGHUP")]

# What the process did on these signals before a worker handled them, while one does.
_before: dict[signal.Signals, Any] = {}


def stop_signals() -> list[signal.Signals]:
    """Return the signals that stop a worker or its supervisor; a SIGHUP that ``nohup`` has ignored is none of them."""
    return [one for one in _STOP_SIGNALS if one.name != "SIGHUP" or signal.getsignal(one) != signal.SIG_IGN]


@contextlib.contextmanager
def stopping_on_signals(stop: Callable[[], None], wanted: bool) -> Iterator[None]:
    """Call ``stop`` on the running loop at the signals, if ``wanted`` and where this thread may handle them.

    A third one has the effect that it had before.
    """
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {one: signal.getsignal(one) for one in stop_signals()}
    is_outermost = not _before
    if is_outermost:
        _before.update(before)
    count = itertools.count(1)

    def received(number: signal.Signals) -> None:
        if next(count) <= 2:
            stop()
            return
        loop.remove_signal_handler(number)
        signal.signal(number, before[number] or signal.SIG_DFL)
        signal.raise_signal(number)

    for one in before:
        loop.add_signal_handler(one, received, one)
    # What the interpreter calls for each signal that a loop handles; without the loop's own entry it does nothing.
    of_loop = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        for one, handler in before.items():
            loop.remove_signal_handler(one)
            if handler is not None and handler is not of_loop:
                signal.signal(one, handler)
        if is_outermost:
            _before.clear()


# -- processes that a handler forks

_masks = threading.local()


def _hold_signals() -> None:
    """Let signals wait while this thread forks: until the child has disowned its handlers, they stop the worker."""
    if _before:
        # The KeyboardInterrupt of a SIGINT that had waited would be raised where the interpreter ignores it.
        _masks.old = signal.pthread_sigmask(signal.SIG_BLOCK, _before.keys() - {signal.SIGINT})


def _release_signals() -> None:
    old, _masks.old = getattr(_masks, "old", None), None
    if old is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def _disown_signals() -> None:
    """Give a forked child the handlers of a process without a worker, and let its signals not wake the worker."""
    if _before:
        signal.set_wakeup_fd(-1)
        for one, handler in _before.items():
            # The handler of Ctrl-C belongs to the event loop even without a worker.
            default = signal.default_int_handler if one == signal.SIGINT else handler
            signal.signal(one, signal.SIG_DFL if default is None else default)
        _before.clear()
    _release_signals()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_disown_signals)
