"""Groups of dead jobs: jobs of one name that died of the same thing, whatever ids and numbers stand in their messages.

A group is made where a job dies, and travels to the broker as bytes: the id of the group, then its heading in msgpack.
To a broker both are opaque; only the length of the id is known to it.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from asyncjobs.core.record.envelope import JobError, encode
from asyncjobs.core.record.version import DECODING_ERRORS
from asyncjobs.core.retention import GROUP_ID_SIZE

__all__ = ["Heading", "fixed_group", "group_of", "normalised", "read_heading", "is_foreign"]

# How many bytes of UTF-8 a part of a heading has at most.
_MAX_PART = 255
_MAX_MESSAGE = 400

# How many characters of a message are looked at.
_MAX_LOOKED_AT = 1_000

# The most special ones stand first: a URL may hold an address, and an address digits.
_PLACEHOLDERS = (
    (re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,15}://[^\s'\"<>]+"), "<url>"),
    (re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+"), "<email>"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<uuid>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?)?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\b"), "<time>"),
    (re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b"), "<ip>"),
    (re.compile(r"(?<![\w:])(?=[a-fA-F:]*\d)(?:[0-9a-fA-F]{1,4}:|:){2,7}(?::|[0-9a-fA-F]{1,4})(?![\w:])"), "<ip>"),
    (re.compile(r"'[^'\n]{33,}'|\"[^\"\n]{33,}\""), "<text>"),
    (re.compile(r"(?<![\w/.<])(?:~|\.{0,2})/[\w.@%+-]+(?:/[\w.@%+-]+)+/?|\b[A-Za-z]:\\[^\s'\":*?<>|]+"), "<path>"),
    (re.compile(r"\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b"), "<id>"),
    (re.compile(r"\b0[xX][0-9a-fA-F]+\b|\b(?=[a-fA-F]*\d)(?=\d*[a-fA-F])[0-9a-fA-F]{8,}\b"), "<hex>"),
    (re.compile(r"\d{4,}"), "<n>"),
)

_FILE = 'File "'
_FRAME = re.compile(r'File "(.+)", line (\d+), in (.+)')
_FOREIGN = re.compile(r"[/\\](?:site|dist)-packages[/\\]|[/\\]lib[/\\]python\d|^<frozen ", re.IGNORECASE)


class Heading(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the jobs of a group have in common."""

    name: str = ""
    """The job name."""
    error: str = ""
    """The type of the last error."""
    message: str = ""
    """Its message, with placeholders for what differs from job to job."""
    frame: str = ""
    """Where it was raised: the last frame of the traceback outside installed packages."""


def group_of(name: str, error: JobError) -> bytes:
    """Return the group of a job called ``name`` that died of ``error``.

    The line of the frame stands in the heading, but isn't part of what makes the group: it moves with each change of
    the file.
    """
    path, line, function = _frame_of(error.traceback)
    place = f"{path} in {function}" if path else ""
    message = normalised(error.message)
    frame = f"{path}:{line} in {function}" if path else ""
    return _group((name, error.type, message, place), Heading(name, error.type, message, frame))


def fixed_group(name: str, error: str, message: str) -> bytes:
    """Return the group of a job that a broker buries, for a reason that is always the same."""
    return _group((name, error, message, ""), Heading(name, error, message))


def _group(parts: tuple[str, ...], heading: Heading) -> bytes:
    key = "\0".join(parts).encode(errors="backslashreplace")
    name = hashlib.sha1(key, usedforsecurity=False).hexdigest()[:GROUP_ID_SIZE]
    bounded = Heading(
        _cut(heading.name, _MAX_PART),
        _cut(heading.error, _MAX_PART),
        _cut(heading.message, _MAX_MESSAGE),
        _cut(heading.frame, _MAX_PART),
    )
    return name.encode() + encode(bounded)


def read_heading(stored: bytes) -> Heading:
    """Return a stored heading, an empty one if it can't be read."""
    try:
        return _headings.decode(stored) if stored else Heading()
    except DECODING_ERRORS:
        return Heading()


def normalised(message: str) -> str:
    """Return the first line of ``message`` with placeholders for what differs from job to job.

    These are ids, numbers of four digits or more, times, addresses, paths, and long quoted texts. So nothing personal
    stands in the heading of a group either.
    """
    line = message[:_MAX_LOOKED_AT].strip().partition("\n")[0]
    for pattern, placeholder in _PLACEHOLDERS:
        line = pattern.sub(placeholder, line)
    return line


def is_foreign(path: str) -> bool:
    """Return whether the file of a frame is of an installed package, or of Python itself."""
    return _FOREIGN.search(path) is not None


def _frame_of(traceback: str) -> tuple[str, str, str]:
    """Return the file, the line and the function of the last frame outside packages, or of the last one at all."""
    last: tuple[str, str, str] | None = None
    # From the end, where the frames of one's own code mostly stand.
    end = len(traceback)
    while (start := traceback.rfind(_FILE, 0, end)) >= 0:
        found = _FRAME.match(traceback, start)
        if found is not None:
            path, line, function = found.groups()
            frame = "/".join(re.split(r"[/\\]", path)[-2:]), line, function
            if not _FOREIGN.search(path):
                return frame
            last = last or frame
        end = start
    return last or ("", "", "")


def _cut(text: str, most: int) -> str:
    """Return the start of ``text``, of at most ``most`` bytes of UTF-8."""
    encoded = text.encode(errors="backslashreplace")
    return encoded[:most].decode(errors="ignore")


_headings = msgspec.msgpack.Decoder(Heading)
