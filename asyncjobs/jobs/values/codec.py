"""The codec of an annotation: by msgspec alone where msgspec can, else by a walk through the value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec

from asyncjobs.core.encrypted import plain_extension
from asyncjobs.jobs.values.annotations import is_exact, runs_code, undecodable
from asyncjobs.jobs.values.changes import change
from asyncjobs.jobs.values.conversions import Builder, Convert
from asyncjobs.jobs.values.hooks import STANDARD, Hooks
from asyncjobs.jobs.values.models import needs_adapter

__all__ = ["ANY", "Codec"]


class Codec:
    """How values of one annotation are written and read.

    Args:
        annotation: The annotation of a parameter or of a return value.
        hooks: For classes that msgspec doesn't know.

    Raises:
        TypeError: Values of the annotation can't be read. The message ends a sentence that begins with the parameter.
    """

    def __init__(self, annotation: Any, hooks: Hooks = STANDARD) -> None:
        self.annotation = annotation
        self._hooks = hooks
        #: The type as which msgspec reads the value.
        self.kind: Any = annotation
        #: What is done with a value before msgspec writes it, and after msgspec has read it; ``None`` for nothing.
        self.dump: Convert | None = None
        self.load: Convert | None = None
        #: Whether all that is sent arrives as it was, so that it need not be compared.
        self.is_exact = False
        #: Encodes what a handler returns; raises one of ``ENCODING_ERRORS`` if it can't be kept.
        self.write_result: Callable[[Any], bytes] = self._checked_result
        if undecodable(annotation, hooks) or needs_adapter(annotation):
            self.kind = Any
            try:
                self.dump, self.load = Builder(hooks).conversion(annotation)
            except RecursionError as error:
                raise TypeError("can't be decoded: it contains itself") from error
            return
        self.is_exact = is_exact(annotation, hooks)
        if not runs_code(annotation, hooks):
            self.write_result = hooks.encode_value

    def write(self, value: Any) -> bytes:
        """Return ``value`` as msgpack; raise one of ``ENCODING_ERRORS`` if it can't be encoded."""
        return self._hooks.encode_value(value if self.dump is None else self.dump(value))

    def _checked_result(self, value: Any) -> bytes:
        if isinstance(value, msgspec.Raw):
            # Of a process, which has encoded it.
            return bytes(value)
        encoded = self.write(value)
        try:
            changed = change(value, self.decode(encoded), "result")
        except Exception as error:
            raise ValueError(f"it could not be read back: {error}") from error
        if changed is not None:
            raise ValueError(changed)
        return encoded

    def decode(self, encoded: bytes) -> Any:
        """Return the value that ``encoded`` holds; raise ``msgspec.ValidationError`` if it has another type."""
        value = self._decode(encoded)
        return value if self.load is None else self.load(value)

    @functools.cached_property
    def _decode(self) -> Callable[[bytes], Any]:
        return msgspec.msgpack.Decoder(self.kind, dec_hook=self._hooks.decode, ext_hook=plain_extension).decode


#: Of any value, read as plain data.
ANY = Codec(Any)
