"""Where a handler comes from, by which a definition made again is told from a second one of the same name."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from types import CellType, CodeType, FrameType, FunctionType, MethodType
from typing import Any, NamedTuple

__all__ = ["Origin"]

#: Types whose equal values stand for one another.
_PLAIN = (type(None), bool, int, float, complex, str, bytes)

#: The file of code that was run from text: the same for all texts.
_NO_FILE = "<string>"

_EMPTY = object()


class Origin(NamedTuple):
    """A handler, and the run of the module in which it became a job.

    Each run of a module (an import, a reload, its run as ``__main__``) loads its code objects anew. Within one run all
    functions that one ``def`` makes share a code object, as those of a wrapper or a factory do.
    """

    function: Callable[..., Any]
    """The handler."""

    module: CodeType | None
    """The code of the innermost module that was being run, ``None`` if there was none."""

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Origin:
        """Return the origin of a handler that becomes a job now."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_name != "<module>":
            frame = frame.f_back
        return cls(function, None if frame is None else frame.f_code)

    def is_again(self, earlier: Origin) -> bool:
        """Return whether this is the definition ``earlier`` made again, as when its module is reloaded."""
        new, old = self.module, earlier.module
        module_rerun = new is not None and old is not None and new is not old and _is_same_file(new, old)
        pairs = list(_pairs(self.function, earlier.function, set()))
        codes = [(_code_of(one), _code_of(other)) for one, other in pairs]
        # Code outside of a module may make a definition again once that module has been run again.
        rerun = module_rerun or any(one is not other for one, other in codes)
        return all(
            _is_same_place(*code, module_rerun) if any(code) else rerun or _is_same_value(*pair)
            for pair, code in zip(pairs, codes, strict=True)
        )


def _pairs(one: Any, other: Any, seen: set[tuple[int, int]]) -> Iterator[tuple[Any, Any]]:
    """Yield two values, and, if they are functions, what each holds beside what the other holds, and so on.

    Args:
        one: The first.
        other: The second.
        seen: The pairs that were yielded; a function may hold itself.
    """
    if (id(one), id(other)) in seen or one is _EMPTY or other is _EMPTY:
        return
    seen.add((id(one), id(other)))
    one, other = _function_of(one), _function_of(other)
    yield one, other
    if one is not other:
        for mine, its in zip(_held_by(one), _held_by(other), strict=False):
            yield from _pairs(mine, its, seen)


def _is_same_place(one: CodeType | None, other: CodeType | None, rerun: bool) -> bool:
    """Return whether two code objects come from one place in the source; in a new run, its lines may have moved."""
    if one is other:
        return True
    if one is None or other is None or not _is_same_file(one, other) or one.co_qualname != other.co_qualname:
        return False
    # Two lambdas may share a line. Code that is equal starts and ends in the same columns.
    return rerun or (one == other if one.co_name == "<lambda>" else one.co_firstlineno == other.co_firstlineno)


def _is_same_file(one: CodeType, other: CodeType) -> bool:
    return one.co_filename == other.co_filename != _NO_FILE


def _is_same_value(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and type(one) in _PLAIN and bool(one == other))


def _function_of(value: Any) -> Any:
    """Return the function or method beneath a job or another object that wraps one, else ``value``."""
    try:
        return inspect.unwrap(value, stop=_is_function)
    except Exception:
        # A proxy may raise anything when it is looked at.
        return value


def _is_function(value: object) -> bool:
    return isinstance(value, FunctionType | MethodType)


def _code_of(value: Any) -> CodeType | None:
    return getattr(value, "__code__", None) if _is_function(value) else None


def _held_by(value: Any) -> list[Any]:
    """Return what a function was made with: its object, the variables around it, and its defaults."""
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, FunctionType):
        keywords = value.__kwdefaults__ or {}
        return [*map(_content, value.__closure__ or ()), *(value.__defaults__ or ()), *keywords.values()]
    return []


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        # The variable has no value yet.
        return _EMPTY
