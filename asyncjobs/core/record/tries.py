"""What a job has been through before: stored beside its record, so that a script can count it up."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from asyncjobs.core.record.envelope import JobError, encode
from asyncjobs.errors import EnvelopeError

__all__ = ["Tries", "pack_tries", "unpack_tries"]

_errors = msgspec.msgpack.Decoder(tuple[JobError, ...])


class Tries(NamedTuple):
    """What a job has been through: failures, deaths, and the errors so far."""

    failures: int = 0
    deaths: int = 0
    errors: tuple[JobError, ...] = ()


def pack_tries(tries: Tries) -> bytes:
    """Return ``tries`` as stored: ``failures:deaths:`` in decimal, which a script can count up, then msgpack."""
    return b"%d:%d:" % (tries.failures, tries.deaths) + encode(tries.errors)


def unpack_tries(stored: bytes | None) -> Tries:
    """Return what ``pack_tries`` stored; of nothing, no tries. Raise ``EnvelopeError`` if it is damaged."""
    if not stored:
        return Tries()
    try:
        failures, deaths, errors = stored.split(b":", 2)
        return Tries(int(failures), int(deaths), _errors.decode(errors) if errors else ())
    except (ValueError, msgspec.MsgspecError) as error:
        raise EnvelopeError(f"the record of earlier attempts is damaged: {error}") from None
