"""Tracebacks without the frames of asyncjobs itself, which stand around those that a reader looks for."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from types import FrameType, TracebackType

__all__ = ["folded", "text_of", "trace_of_thread"]

_OURS = str(Path(__file__).parents[2]) + os.sep


def folded(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames of asyncjobs; with all of them, if there are no others."""
    others: list[TracebackType] = []
    one = trace
    while one is not None:
        if not one.tb_frame.f_code.co_filename.startswith(_OURS):
            others.append(one)
        one = one.tb_next
    if not others:
        return trace
    rest: TracebackType | None = None
    for one in reversed(others):
        rest = TracebackType(rest, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return rest


def trace_of_thread(number: int | None) -> TracebackType | None:
    """Return where the thread ``number`` is at the moment, as the traceback of an error that is raised there."""
    frame: FrameType | None = None if number is None else sys._current_frames().get(number)
    trace: TracebackType | None = None
    while frame is not None:
        trace = TracebackType(trace, frame, frame.f_lasti, frame.f_lineno or frame.f_code.co_firstlineno)
        frame = frame.f_back
    return trace


def text_of(error: BaseException) -> str:
    """Return the traceback of an error as Python prints it, with the errors that led to it.

    Raises:
        BaseException: What the error itself raises as it is written.
    """
    return "".join(traceback.format_exception(type(error), error, folded(error.__traceback__)))
