"""The earlier attempts of a job: stored beside its record, so that a script can count another one."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from asyncjobs.core.record.envelope import JobError, encode
from asyncjobs.core.record.version import DECODING_ERRORS, unreadable
from asyncjobs.errors import EnvelopeError

__all__ = ["Tries", "counted_tries", "deaths_in", "pack_tries", "packed", "unpack_tries"]

_errors = msgspec.msgpack.Decoder(tuple[JobError, ...])


class Tries(NamedTuple):
    """What the earlier attempts of a job came to."""

    failures: int = 0
    """How many failed."""
    deaths: int = 0
    """In how many the worker died."""
    errors: tuple[JobError, ...] = ()
    """Their errors, oldest first."""


def pack_tries(tries: Tries) -> bytes:
    """Return ``tries`` as stored: ``failures:deaths:`` in decimal for the scripts, then the errors in msgpack."""
    return packed(tries.failures, tries.deaths, encode(tries.errors))


def packed(failures: int, deaths: int, errors: bytes) -> bytes:
    """Return tries as stored, whose ``errors`` are so already."""
    return b"%d:%d:" % (failures, deaths) + errors


def unpack_tries(stored: bytes | None) -> Tries:
    """Return what ``pack_tries`` has packed; no tries if nothing is stored.

    Raises:
        EnvelopeError: ``stored`` is damaged, or (``NewerVersion``) of a later version.
    """
    if not stored:
        return Tries()
    try:
        failures, deaths, errors = stored.split(b":", 2)
        numbers = int(failures), int(deaths)
    except ValueError as error:
        raise EnvelopeError(f"the record of earlier attempts is damaged: {error}") from None
    try:
        return Tries(*numbers, _errors.decode(errors) if errors else ())
    except DECODING_ERRORS as error:
        raise unreadable("the record of earlier attempts", errors, error) from None


def counted_tries(stored: bytes) -> tuple[int, int, bytes]:
    """Return the failures, the deaths, and the errors as they are stored, for what only counts another attempt.

    Tries of a later version can be counted too; damaged ones count as none.
    """
    try:
        failures, deaths, errors = stored.split(b":", 2)
        return int(failures), int(deaths), errors
    except ValueError:
        return 0, 0, b""


def deaths_in(stored: bytes) -> int:
    """Return in how many attempts of ``stored`` the worker died; 0 if nothing is stored, or if it is damaged."""
    return counted_tries(stored)[1] if stored else 0
