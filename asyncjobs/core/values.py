"""Values on the wire: anything that msgspec encodes, and pydantic models without importing pydantic."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

import msgspec

__all__ = ["ENCODING_ERRORS", "decode_model", "decode_value", "encode_value"]

#: What ``encode_value`` may raise for a value that can't be encoded: anything, as code of the value's own does.
ENCODING_ERRORS = (Exception,)


def _encode_model(value: Any) -> Any:
    """Encode pydantic models (anything with ``model_dump``) without importing pydantic."""
    if hasattr(type(value), "model_dump"):
        return value.model_dump(mode="json")
    raise NotImplementedError(f"a {type(value).__qualname__} can't be encoded")


def decode_model(kind: type, value: Any) -> Any:
    """Return ``value`` as an object of ``kind``, a pydantic model."""
    # msgspec asks for ``object`` too, as for any class that it doesn't know; every value is one.
    return value if kind is object else typing.cast("Any", kind).model_validate(value)


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_model)
encode_value: Callable[[Any], bytes] = _encoder.encode


def decode_value(kind: Any, raw: bytes) -> Any:
    """Return the value that ``raw`` holds, of the annotated type ``kind``.

    Raises:
        msgspec.ValidationError: The value has another type.
    """
    return msgspec.msgpack.decode(raw, type=kind, dec_hook=decode_model)
