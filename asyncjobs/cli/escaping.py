"""What JSON and tables need of text that may hold control characters."""

from __future__ import annotations

import re
import unicodedata

from asyncjobs.core.text import is_harmless

__all__ = ["escaped_json", "width"]

# What JSON leaves as it is: DEL, and what isn't ASCII.
_LEFT_BY_JSON = re.compile("[\x7f-\U0010ffff]")


def escaped_json(text: str) -> str:
    r"""Return ``text``, which is JSON, with escapes such as ``\u202e`` for the control characters in it."""
    return _LEFT_BY_JSON.sub(lambda found: found[0] if is_harmless(found[0]) else _json_escape(found[0]), text)


def width(text: str) -> int:
    """Return how many columns of a terminal escaped ``text`` takes."""
    return len(text) if text.isascii() else sum(map(_width_of, text))


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _width_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
