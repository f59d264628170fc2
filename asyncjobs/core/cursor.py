"""Cursors that callers hand back: where a list goes on, as a text that says what it is a list of.

A cursor that was made for another filter would pass over jobs without a word. So a digest of the filter and of the
place stands in it. The digest finds mistakes; it keeps nobody from making up a cursor.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TypeVar

import msgspec

from asyncjobs.core.bounds import shown
from asyncjobs.core.options import checked_text
from asyncjobs.errors import ArgumentsError

__all__ = ["cursor_of", "read_cursor"]

Position = TypeVar("Position", bound=msgspec.Struct)

_DIGEST_BYTES = 8


def cursor_of(position: msgspec.Struct, *of: object) -> str:
    """Return the cursor of a position.

    Args:
        position: Where the list goes on.
        of: What it is a list of: plain values.
    """
    data = msgspec.json.encode(position)
    return base64.urlsafe_b64encode(_digest(data, of) + data).decode().rstrip("=")


def read_cursor(name: str, text: str, kind: type[Position], *of: object) -> Position:
    """Return the position of a cursor; for an empty one, the first of its ``kind``.

    Args:
        name: The name of the parameter, for the error.
        text: The cursor.
        kind: The type of the position.
        of: What was given to ``cursor_of``.

    Raises:
        ArgumentsError: ``text`` is no cursor, or is one of something else.
    """
    if not checked_text(name, text):
        return kind()
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        digest, data = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if digest == _digest(data, of):
            return msgspec.json.decode(data, type=kind)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        pass
    raise ArgumentsError(
        f"{name}={shown(text)}: expected the next of a reply to the same question, or '' for the first one"
    )


def _digest(data: bytes, of: tuple[object, ...]) -> bytes:
    return hashlib.blake2b(ascii(of).encode() + b"\0" + data, digest_size=_DIGEST_BYTES).digest()
