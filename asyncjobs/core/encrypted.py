"""Keys of encryption, and the form in which an encrypted value is stored in place of the value.

It is an extension of msgpack, so it travels wherever a value does::

    type 101: 1 byte form, 4 bytes id of the key, 12 bytes nonce, then the ciphertext with its tag

What encrypts and decrypts is ``jobs.encryption``. The rest of asyncjobs only needs to tell that a value is encrypted.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Literal, NamedTuple

import msgspec

from asyncjobs.errors import EncryptionError

__all__ = [
    "HIDDEN",
    "EncryptionKey",
    "EncryptionMode",
    "Parts",
    "key_id_of",
    "missing_key",
    "pack",
    "plain_extension",
    "refuse_encrypted",
    "unpack",
]

EncryptionMode = Literal["required", "preferred", "decrypt"]
"""What a program with keys does: ``required`` encrypts, and takes nothing that isn't encrypted; ``preferred`` encrypts,
and takes both; ``decrypt`` sends without encryption, and takes both."""

# That of AES-256.
_KEY_BYTES = 32

#: What stands in place of the text of an encrypted error.
HIDDEN = "‹encrypted›"

_TYPE = 101
_FORM = 1
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_HEAD_BYTES = 1 + _KEY_ID_BYTES + _NONCE_BYTES

# Where the type stands behind the first byte of an extension with a length of 1, 2 or 4 bytes.
_PLACE_OF_TYPE = {0xC7: 2, 0xC8: 3, 0xC9: 5}


class EncryptionKey:
    """A key, which no message shows. Its id, a hash of it, is stored with each value.

    Args:
        text: 32 bytes in Base64, as ``openssl rand -base64 32`` prints them.

    Raises:
        ValueError: ``text`` is no such key.
    """

    __slots__ = ("id", "secret")

    id: str
    """The id: 8 hexadecimal digits."""

    secret: bytes
    """The key itself."""

    def __init__(self, text: str) -> None:
        try:
            self.secret = base64.b64decode(text.strip().translate(_FROM_URL_SAFE), validate=True)
        except binascii.Error:
            raise ValueError("no Base64") from None
        if len(self.secret) != _KEY_BYTES:
            raise ValueError(f"{len(self.secret)} bytes")
        self.id = hashlib.sha256(b"asyncjobs key id\0" + self.secret).hexdigest()[: 2 * _KEY_ID_BYTES]

    def __repr__(self) -> str:
        return f"EncryptionKey({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EncryptionKey) and self.secret == other.secret

    def __hash__(self) -> int:
        return hash(self.secret)


class Parts(NamedTuple):
    """The parts of an encrypted value."""

    key_id: str
    """The id of its key."""
    nonce: bytes
    """The nonce."""
    ciphertext: bytes
    """The ciphertext with its tag."""


def pack(parts: Parts) -> bytes:
    """Return an encrypted value as it is stored."""
    data = b"".join((bytes((_FORM,)), bytes.fromhex(parts.key_id), parts.nonce, parts.ciphertext))
    return msgspec.msgpack.encode(msgspec.msgpack.Ext(_TYPE, data))


def unpack(stored: bytes | memoryview | msgspec.Raw) -> Parts:
    """Return the parts of an encrypted value.

    Raises:
        EncryptionError: It is cut off, or of another form.
    """
    try:
        data = bytes(msgspec.msgpack.decode(stored, type=msgspec.msgpack.Ext).data)
    except msgspec.MsgspecError as error:
        raise EncryptionError(f"an encrypted value is damaged: {error}") from None
    if len(data) < _HEAD_BYTES or data[0] != _FORM:
        raise EncryptionError(f"an encrypted value begins with {data[:2]!r}, a form that isn't known here")
    nonce_at = 1 + _KEY_ID_BYTES
    return Parts(data[1:nonce_at].hex(), data[nonce_at:_HEAD_BYTES], data[_HEAD_BYTES:])


def key_id_of(stored: bytes | memoryview | msgspec.Raw) -> str:
    """Return the id of the key with which a value is encrypted; empty for one that isn't."""
    head = bytes(memoryview(stored)[: 6 + 1 + _KEY_ID_BYTES])
    place = _PLACE_OF_TYPE.get(head[0]) if head else None
    if place is None or head[place : place + 1] != bytes((_TYPE,)):
        return ""
    return head[place + 2 : place + 2 + _KEY_ID_BYTES].hex()


def plain_extension(code: int, data: memoryview) -> msgspec.msgpack.Ext:
    """Return an extension of msgpack as it is, for decoders; raise ``EncryptionError`` for an encrypted value."""
    if code == _TYPE:
        raise EncryptionError("the value is encrypted")
    return msgspec.msgpack.Ext(code, bytes(data))


def refuse_encrypted(what: str, stored: bytes | memoryview | msgspec.Raw) -> None:
    """Raise ``EncryptionError`` if ``stored`` is encrypted, where there is nothing to decrypt it with.

    Args:
        what: What it is, for the message.
        stored: The value.
    """
    if key_id := key_id_of(stored):
        raise EncryptionError(missing_key(what, key_id, ()))


def missing_key(what: str, key_id: str, known: tuple[str, ...]) -> str:
    """Return the message that a key isn't among those ``known`` here."""
    have = f"this program has {', '.join(known)}" if known else "this program has no keys"
    return (
        f"{what} encrypted with key {key_id}, and {have}: add the key to the setting encryption_keys, "
        "ASYNCJOBS_ENCRYPTION_KEYS"
    )


_FROM_URL_SAFE = str.maketrans("-_", "+/")
