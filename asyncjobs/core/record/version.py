"""The version of what is stored, and how a reader tells what a later version has stored.

The version rises when the asyncjobs before can't read any longer what is stored. What is stored says its version by its
first byte. In the header of a record, that is a digit. An envelope, the errors of earlier attempts, a schedule and an
event are a map or an array of msgpack in version 1. In a later version they stand behind its number, one byte from 2 to
31, with which no map, no array and no text begins. The layout of the header, and the two numbers before the errors, are
the same in all versions, so that a broker can move jobs of any.
"""

from __future__ import annotations

import msgspec

from asyncjobs.errors import EnvelopeError, NewerVersion

__all__ = ["DECODING_ERRORS", "VERSION", "is_newer", "newer_version", "unreadable"]

#: The version that this asyncjobs stores, and the latest that it reads.
VERSION = 1

#: What msgspec raises for data that it can't decode: the last two for text that isn't UTF-8, and for deep nesting.
DECODING_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_MAX_VERSION = 31


def unreadable(what: str, stored: bytes | memoryview | msgspec.Raw, why: object) -> EnvelopeError:
    """Return the error for stored data that can't be decoded.

    Args:
        what: What it is, for the message.
        stored: The data.
        why: Why it can't be decoded, unless a later version has stored it.
    """
    if is_newer(stored):
        return newer_version(what, memoryview(stored)[0])
    return EnvelopeError(f"{what} is damaged: {why}")


def is_newer(stored: bytes | memoryview | msgspec.Raw) -> bool:
    """Return whether a later version has stored data that isn't a record with its header."""
    first = bytes(memoryview(stored)[:1])
    return bool(first) and VERSION < first[0] <= _MAX_VERSION


def newer_version(what: str, version: int) -> NewerVersion:
    """Return the error for what a later version has stored.

    Args:
        what: What it is, for the message.
        version: The version.
    """
    return NewerVersion(
        f"{what} has version {version}, and this asyncjobs reads version {VERSION}: a newer asyncjobs has written it; "
        "upgrade this one",
        version,
    )
