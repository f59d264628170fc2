"""Names and messages of exceptions as text that can be stored."""

from __future__ import annotations

__all__ = ["message_of", "storable", "type_name"]


def type_name(kind: type[BaseException]) -> str:
    """Return the name of an exception type with its module, and without it for the built-in types."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def message_of(error: BaseException) -> str:
    """Return the text of ``error``, or a note that its ``__str__`` raises."""
    try:
        return str(error)
    except BaseException as problem:
        return f"(its text can't be had: {_shown(problem)})"


def _shown(problem: BaseException) -> str:
    try:
        return repr(problem)
    except BaseException:
        return type_name(type(problem))


def storable(text: str) -> str:
    """Return ``text`` with escapes for what UTF-8 can't encode, such as surrogates in the name of a file."""
    return text.encode(errors="backslashreplace").decode()
