"""Text of others: names and messages of exceptions that can be stored, and what can be shown without harm."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

__all__ = ["escaped", "is_harmless", "message_of", "some_of", "storable", "type_name"]

# How many ids a line of the log names.
_MAX_LOGGED_IDS = 5


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


def escaped(text: str) -> str:
    r"""Return ``text`` as one line without control characters, which become escapes such as ``\n`` and ``\x1b``.

    On a terminal they would set its title, write to the clipboard, or overwrite lines. A newline would forge a line,
    and bidirectional controls would show text in another order than it has.
    """
    return text if text.isprintable() else "".join(one if is_harmless(one) else repr(one)[1:-1] for one in text)


def is_harmless(character: str) -> bool:
    """Return whether a terminal only shows ``character``."""
    # To Python, the only printable space is that of ASCII; but the ideographic one is in many Japanese texts.
    return character.isprintable() or unicodedata.category(character) == "Zs"


def some_of(ids: Sequence[str]) -> str:
    """Return up to five of ``ids`` as words of a log line.

    Args:
        ids: The ids of jobs.
    """
    return ", ".join(ids[:_MAX_LOGGED_IDS]) + (" …" if len(ids) > _MAX_LOGGED_IDS else "")
