"""Text of others made safe for a terminal.

Job names, arguments and error messages come from whoever sends jobs. On a terminal their control characters would set
its title, write to the clipboard, or overwrite lines. A newline would forge a line, and bidirectional controls would
show text in another order than it has. All of them are written as escapes, as Python's ``repr`` writes them.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["escaped", "escaped_json", "width"]

# What JSON leaves as it is: DEL, and what isn't ASCII.
_LEFT_BY_JSON = re.compile("[\x7f-\U0010ffff]")


def escaped(text: str) -> str:
    r"""Return ``text`` as one line without control characters, which become escapes such as ``\n`` and ``\x1b``."""
    return text if text.isprintable() else "".join(one if _is_harmless(one) else _escape(one) for one in text)


def escaped_json(text: str) -> str:
    r"""Return ``text``, which is JSON, with escapes such as ``\u202e`` for the control characters in it."""
    return _LEFT_BY_JSON.sub(lambda found: found[0] if _is_harmless(found[0]) else _json_escape(found[0]), text)


def width(text: str) -> int:
    """Return how many columns of a terminal escaped ``text`` takes."""
    return len(text) if text.isascii() else sum(map(_width_of, text))


def _is_harmless(character: str) -> bool:
    # To Python, the only printable space is that of ASCII; but the ideographic one is in many Japanese texts.
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    return repr(character)[1:-1]


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _width_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
