"""Encrypts what a job carries, and decrypts it: with AES-256-GCM-SIV, so that random nonces are safe however many.

What is encrypted is bound to its job: the kind of the value, and the queue, id, name and tenant of the job, are
authenticated with it. So a value that was written for one job is none for another.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from asyncjobs.core.encrypted import HIDDEN, EncryptionKey, EncryptionMode, Parts, key_id_of, missing_key, pack, unpack
from asyncjobs.core.job import Job
from asyncjobs.core.package import install_command
from asyncjobs.core.record.envelope import Envelope, JobError
from asyncjobs.core.settlement import Completed, Failed, Outcome
from asyncjobs.errors import ConfigurationError, EncryptionError

__all__ = ["Encryption", "bound_id"]

_NONCE_BYTES = 12

# The lines of a traceback that say where in the code, and nothing of what was there.
_PLACES = re.compile(r'^ *File ".+", line \d+, in .+$', re.MULTILINE)

_encode = msgspec.msgpack.Encoder().encode
_decode_error = msgspec.msgpack.Decoder(tuple[str, str]).decode


def bound_id(job_id: str, unique_key: str) -> str:
    """Return what the arguments of a job are bound to: its id, or its unique key.

    A later send with the same key may replace the arguments of a job. It doesn't know the id of that job.
    """
    # No id has a space in it.
    return f"unique {unique_key}" if unique_key else job_id


class Encryption:
    """Encrypts with the first of ``keys``, and decrypts with any.

    Args:
        keys: The keys, at least one.
        mode: What is done with them.

    Raises:
        ConfigurationError: The package cryptography isn't installed, or its OpenSSL is too old.
    """

    def __init__(self, keys: Sequence[EncryptionKey], mode: EncryptionMode) -> None:
        ciphers = {key.id: _cipher(key) for key in keys}
        self._decrypt: dict[str, Callable[[bytes, bytes, bytes], bytes]] = {
            key_id: cipher.decrypt for key_id, cipher in ciphers.items()
        }
        self._key_id = keys[0].id
        self._encrypt: Callable[[bytes, bytes, bytes], bytes] = ciphers[self._key_id].encrypt
        #: Whether values are encrypted, and not only decrypted.
        self.encrypts = mode != "decrypt"
        self._is_required = mode == "required"

    # -- arguments

    def arguments_for(
        self,
        queue: str,
        job_id: str,
        name: str,
        tenant: str,
        keywords: tuple[str, ...],
        arguments: bytes,
        *,
        is_template: bool = False,
    ) -> bytes:
        """Return the encoded ``arguments`` of a job as it is sent, of which the last are named by ``keywords``.

        ``job_id``: what they are bound to, as ``bound_id`` returns it. ``is_template``: whether they are those of a
        schedule. The same ones look the same each time: a broker tells by the bytes whether a schedule was changed.
        """
        if not self.encrypts:
            return arguments
        # With GCM-SIV, a nonce that comes twice reveals only that two values are equal.
        nonce = bytes(_NONCE_BYTES) if is_template else b""
        return self._encrypted(arguments, ("arguments", queue, job_id, name, tenant, keywords), nonce)

    def readable(self, job: Job) -> Job:
        """Return ``job`` with its arguments decrypted.

        Raises:
            EncryptionError: They can't be decrypted, or they aren't encrypted and have to be.
        """
        stored = job.envelope.arguments
        subject = bound_id(job.id, job.unique_key)
        bound = ("arguments", job.queue, subject, job.name, job.tenant, job.envelope.keywords)
        arguments = self._decrypted(bytes(stored), bound, f"the arguments of job {job.id} are")
        return msgspec.structs.replace(
            job, envelope=msgspec.structs.replace(job.envelope, arguments=msgspec.Raw(arguments))
        )

    def moved(self, job: Job, queue: str) -> Envelope:
        """Return the envelope of a job that moves to another queue, encrypted for it.

        Raises:
            EncryptionError: The arguments can't be decrypted.
        """
        envelope = self.readable(job).envelope
        arguments = self.arguments_for(
            queue, job.id, job.name, job.tenant, envelope.keywords, bytes(envelope.arguments)
        )
        return msgspec.structs.replace(envelope, arguments=msgspec.Raw(arguments))

    # -- what becomes of a job

    def stored_outcome(self, job: Job, outcome: Outcome) -> Outcome:
        """Return the outcome of a run as it is stored: with the result, or the text of the error, encrypted."""
        if not self.encrypts:
            return outcome
        if isinstance(outcome, Completed):
            bound = ("result", job.queue, job.id, job.name, job.tenant)
            return Completed(self._encrypted(outcome.result, bound))
        if isinstance(outcome, Failed):
            return msgspec.structs.replace(outcome, error=self._stored_error(job, outcome.error))
        return outcome

    def _stored_error(self, job: Job, error: JobError) -> JobError:
        text = _encode((error.message, error.traceback))
        return msgspec.structs.replace(
            error,
            message=HIDDEN,
            traceback="\n".join(_PLACES.findall(error.traceback)),
            encrypted=self._encrypted(text, ("error", job.queue, job.id)),
        )

    def with_result(self, job: Job) -> Job:
        """Return an ended ``job`` with its result decrypted, and its errors as far as they can be.

        Raises:
            EncryptionError: The result can't be decrypted, or it isn't encrypted and has to be.
        """
        if job.encoded_result:
            bound = ("result", job.queue, job.id, job.name, job.tenant)
            result = self._decrypted(job.encoded_result, bound, f"the result of job {job.id} is")
            job = msgspec.structs.replace(job, encoded_result=result)
        return self._with_errors(job)

    def shown(self, job: Job) -> Job:
        """Return ``job`` with all that can be decrypted, and without a result that had to be encrypted and isn't."""
        with contextlib.suppress(EncryptionError):
            job = self.readable(job)
        try:
            return self.with_result(job)
        except EncryptionError:
            if not key_id_of(job.encoded_result):
                # Anybody may have written it.
                job = msgspec.structs.replace(job, encoded_result=b"")
            return self._with_errors(job)

    def _with_errors(self, job: Job) -> Job:
        if not any(error.encrypted for error in job.errors):
            return job
        return msgspec.structs.replace(job, errors=tuple(self._readable_error(job, error) for error in job.errors))

    def _readable_error(self, job: Job, error: JobError) -> JobError:
        if not error.encrypted:
            return error
        try:
            text = self._decrypted(error.encrypted, ("error", job.queue, job.id), "")
        except EncryptionError:
            return error
        message, traceback = _decode_error(text)
        return msgspec.structs.replace(error, message=message, traceback=traceback, encrypted=b"")

    # -- events

    def stored_event(self, queue: str, job_id: str, event: bytes) -> bytes:
        """Return an event of a job as it is stored."""
        return self._encrypted(event, ("event", queue, job_id)) if self.encrypts else event

    def readable_event(self, queue: str, job_id: str, stored: bytes) -> bytes:
        """Return an event as it was before it was encrypted; if it can't be decrypted, what can't be read as one."""
        try:
            return self._decrypted(stored, ("event", queue, job_id), "")
        except EncryptionError:
            # Where it had to be encrypted and isn't, anybody may have written it.
            return stored if key_id_of(stored) else b""

    # -- values

    def _encrypted(self, value: bytes, bound: tuple[Any, ...], nonce: bytes = b"") -> bytes:
        nonce = nonce or os.urandom(_NONCE_BYTES)
        return pack(Parts(self._key_id, nonce, self._encrypt(nonce, value, _encode(bound))))

    def _decrypted(self, stored: bytes, bound: tuple[Any, ...], what: str) -> bytes:
        """Return a value; ``what`` begins the message of the error, up to its verb."""
        key_id = key_id_of(stored)
        if not key_id:
            if self._is_required:
                raise EncryptionError(
                    f"{what} not encrypted, so they may be anybody's; encryption='preferred' takes what was stored "
                    "before encryption was switched on"
                )
            return stored
        decrypt = self._decrypt.get(key_id)
        if decrypt is None:
            raise EncryptionError(missing_key(what, key_id, tuple(self._decrypt)))
        parts = unpack(stored)
        try:
            return decrypt(parts.nonce, parts.ciphertext, _encode(bound))
        except Exception:
            # cryptography's InvalidTag, or ValueError for what is no ciphertext; neither has a text.
            raise EncryptionError(
                f"{what} encrypted with key {key_id}, and were changed since, or were written for another job: they "
                "don't belong to this queue, id, name and tenant"
            ) from None


def _cipher(key: EncryptionKey) -> Any:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
    except ImportError as error:
        raise ConfigurationError(
            f"encryption_keys needs the package cryptography ({error}): {install_command('crypto')}"
        ) from error
    try:
        return AESGCMSIV(key.secret)
    except UnsupportedAlgorithm as error:
        raise ConfigurationError(
            f"encryption_keys needs OpenSSL 3.2 or newer, which AES-GCM-SIV has: {error}"
        ) from error
