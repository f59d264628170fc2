"""What a search by text looks for in the bytes of a record, and whether a job has the text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from asyncjobs.core.job import Job
from asyncjobs.core.record.version import DECODING_ERRORS
from asyncjobs.errors import EncryptionError

__all__ = ["has_text", "needles_of"]

# What msgpack can write of whole numbers.
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1

_LEAST_IN_ID = 4

Number = int | float


def needles_of(text: str) -> list[bytes]:
    """Return the bytes of which one stands in each record that has ``text``; some other records have one, too.

    msgpack writes a text as its UTF-8. A text that is a number is looked for as that number, too.
    """
    return [text.encode(), *(msgspec.msgpack.encode(number) for number in _numbers(text))]


def has_text(job: Job, text: str) -> bool:
    """Return whether ``text`` stands in a job: in its id, name, arguments, metadata, headers or errors.

    A number among the arguments or the metadata must be equal to the whole text. A secret argument is not looked at,
    nor are arguments that are encrypted. A job whose arguments can't be read passes. In ids, most of which are random,
    a text of fewer than four characters is only found as a whole one.
    """
    numbers = _numbers(text)
    if text == job.id or (len(text) >= _LEAST_IN_ID and text in job.id) or any(text in part for part in _texts(job)):
        return True
    try:
        arguments = [value for name, value in job.named_arguments.items() if name not in job.secret]
    except EncryptionError:
        arguments = []
    except (*DECODING_ERRORS, ValueError):
        return not job.secret
    return not job.name or any(_holds(part, text, numbers) for part in (arguments, job.metadata))


def _texts(job: Job) -> Iterator[str]:
    yield from (job.name, job.tenant)
    yield from job.envelope.keywords
    for name, value in job.envelope.headers.items():
        yield from (name, value)
    for error in job.errors:
        yield from (error.type, error.message, error.traceback)


def _numbers(text: str) -> list[Number]:
    """Return the numbers that ``text`` may be: as a whole one, and as one with a fraction."""
    found: list[Number] = []
    # Python reads 1_000 and digits of other scripts, which nobody means here, and takes long for very many.
    if len(text) > 30 or not text.isascii() or "_" in text or text != text.strip():
        return found
    try:
        whole = int(text)
    except ValueError:
        pass
    else:
        if _LEAST <= whole <= _MOST:
            found.append(whole)
    try:
        number = float(text)
    except ValueError:
        return found
    if math.isfinite(number):
        found.append(number)
    return found


def _holds(value: object, text: str, numbers: list[Number]) -> bool:
    """Return whether ``text``, which may be one of ``numbers``, stands in a plain value, however deep."""
    left: list[object] = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            if text in one:
                return True
        elif isinstance(one, bytes):
            if text.encode() in one:
                return True
        elif isinstance(one, Mapping):
            left += [*one, *one.values()]
        elif isinstance(one, Iterable):
            left += one
        elif not isinstance(one, bool) and one in numbers:
            return True
    return False
