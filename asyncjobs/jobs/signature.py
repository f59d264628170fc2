"""A handler's parameters: calls are bound to them, checked and encoded; records are decoded back into them.

What is sent is decoded once right after it was encoded, into the annotated types: what the worker could not read is
refused where the mistake was made.
"""

from __future__ import annotations

import inspect
import itertools
import types
import typing
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from asyncjobs.core.encrypted import refuse_encrypted
from asyncjobs.errors import ArgumentsError, DefinitionError
from asyncjobs.jobs.handler import check_returned
from asyncjobs.jobs.misfits import Argument, changed, misfit, unencodable, wrongly_typed
from asyncjobs.jobs.resources import without_injected
from asyncjobs.jobs.secret import is_secret
from asyncjobs.jobs.values.codec import ANY, Codec
from asyncjobs.jobs.values.hooks import ENCODING_ERRORS, STANDARD, Hooks

__all__ = ["Signature", "plainly_encoded"]

# How many shapes of calls, and of stored arguments, are remembered of a handler: with *args and **kwargs there is no
# end of them.
_MAX_SHAPES = 64


class _Stored(NamedTuple):
    """How stored arguments of one shape are read: the last of the array are those named by ``keywords``."""

    decode: Callable[[bytes | msgspec.Raw], tuple[Any, ...]]
    positional: int
    keywords: tuple[str, ...]


class _Shape(NamedTuple):
    """How calls of one shape are stored: in the ``order`` of these indices, or as given where it is empty."""

    order: tuple[int, ...]
    write: Callable[[Sequence[Any]], bytes]
    check: Callable[[bytes], object]
    """Raises an exception if what ``write`` has written can't be read."""
    keywords: tuple[str, ...]


class Signature:
    """The parameters of a handler, but for those that the worker injects, and its return type.

    Args:
        function: The handler.
        name: The job's name, for errors.
        hooks: How values of classes are sent that msgspec doesn't know.
        secret: The parameters whose values no error shows, beside those annotated with ``Secret``.

    Raises:
        DefinitionError: A value of an annotation could not be decoded.
        NameError: An annotation names what isn't defined yet.
    """

    def __init__(
        self, function: Callable[..., Any], name: str, hooks: Hooks = STANDARD, secret: Collection[str] = ()
    ) -> None:
        self._name = name
        self._hooks = hooks
        hints = typing.get_type_hints(function, include_extras=True)
        self._signature = without_injected(inspect.signature(function), hints, name)
        self._positional: list[tuple[str, Codec]] = []
        self._by_name: dict[str, Codec] = {}
        # Of *args and **kwargs; without them nothing is ever bound there.
        self._rest: tuple[str, Codec] = ("", ANY)
        self._others = ANY
        self._other_names: frozenset[str] = frozenset()
        for one in self._signature.parameters.values():
            codec = self._codec(hints.get(one.name, Any), f"parameter {one.name!r}")
            if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD):
                self._positional.append((one.name, codec))
            if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
                self._by_name[one.name] = codec
            if one.kind is one.VAR_POSITIONAL:
                self._rest = (one.name, codec)
            if one.kind is one.VAR_KEYWORD:
                self._others = codec
                self._other_names = frozenset((one.name,))
        #: The names of the parameters whose values are never shown.
        self.secret = frozenset(secret) | {name for name in self._signature.parameters if is_secret(hints.get(name))}
        #: Of what the handler returns.
        check_returned(hints.get("return"), name)
        self.returns = self._codec(hints.get("return", Any), "the return value")
        self._shapes: dict[tuple[int | str, ...], _Shape] = {}
        self._stored: dict[tuple[int, tuple[str, ...]], _Stored] = {}
        #: A 32-bit hash of names, order, defaults and types, by which a later version of the code is recognised.
        self.hash = zlib.crc32(str(self._signature).encode())

    def _codec(self, annotation: Any, what: str) -> Codec:
        try:
            return Codec(annotation, self._hooks)
        except TypeError as error:
            raise DefinitionError(f"job {self._name!r}: {what} {error}") from error

    def __str__(self) -> str:
        return str(self._signature)

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[bytes, tuple[str, ...]]:
        """Bind, encode and check the arguments of a call.

        Returns:
            The arguments as a msgpack array, and the names of the last of them, those passed by keyword.

        Raises:
            ArgumentsError: The call does not fit the handler, or a value its annotation.
        """
        shape = self._shapes.get((len(args), *kwargs))
        if shape is None:
            shape = self._shape(len(args), tuple(kwargs))
        order, write, check, keywords = shape
        values: Sequence[Any] = (*args, *kwargs.values()) if kwargs else args
        if order:
            values = [values[index] for index in order]
        try:
            raw = write(values)
        except ArgumentsError:
            raise
        except ENCODING_ERRORS as error:
            problem = unencodable(self._named(keywords, values)) or f"the arguments can't be encoded{self._told(error)}"
            raise ArgumentsError(f"{self._name}(): {problem}") from self._cause(error)
        try:
            check(raw)
        except Exception as error:
            # Code of the types may raise anything, such as a dataclass's `__post_init__`.
            raise self._refusal(keywords, values, error) from self._cause(error)
        return raw, keywords

    def encode_plain(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[bytes, tuple[str, ...]]:
        """Return arguments that are plain data, as those of JSON, in the form of ``encode``.

        They are checked by reading them as the handler's types.

        Raises:
            ArgumentsError: They don't fit the handler.
        """
        shape = self._shape(len(args), tuple(kwargs))
        values = (*args, *kwargs.values())
        raw = plainly_encoded(self._name, [values[at] for at in shape.order] if shape.order else values)
        self.decode(msgspec.Raw(raw), shape.keywords)
        return raw, shape.keywords

    def decode(self, raw: msgspec.Raw, keywords: tuple[str, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments that ``encode`` produced, as the handler's types.

        Args:
            raw: The arguments.
            keywords: The names of the last of them.

        Raises:
            ArgumentsError: They no longer fit the handler.
        """
        size = _array_length(raw)
        stored = self._stored.get((size, keywords))
        if stored is None:
            self._refuse_misfit(size - len(keywords), keywords, "sent")
            stored = self._stored_as(size - len(keywords), keywords)
        try:
            values = stored.decode(raw)
        except Exception as error:
            # Code of the types may raise anything.
            raise ArgumentsError(
                f"{self._name}{self._signature}: the stored arguments do not fit{self._told(error)}"
            ) from self._cause(error)
        if not keywords:
            return values, {}
        return values[: stored.positional], dict(zip(keywords, values[stored.positional :], strict=True))

    def names_of(self, raw: msgspec.Raw, keywords: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of arguments that ``encode`` produced, in their order; ``name[0]`` and so on of ``*name``.

        Raises:
            ArgumentsError: They no longer fit the handler.
        """
        size = _array_length(raw)
        self._refuse_misfit(size - len(keywords), keywords, "sent")
        own = len(self._positional)
        parameters = self._parameters(size - len(keywords), keywords)
        return tuple(
            f"{name}[{at - own}]" if own <= at < size - len(keywords) else name
            for at, (name, _) in enumerate(parameters)
        )

    def bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call by the names of their parameters, with the defaults of those left out.

        Raises:
            ArgumentsError: The call does not fit the handler.
        """
        self._refuse_misfit(len(args), tuple(kwargs), "given")
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters in order, those of ``*name`` and ``**name`` with their stars."""
        found = self._signature.parameters.values()
        # Only these two print with a star.
        return tuple(str(one).partition(":")[0] if str(one).startswith("*") else one.name for one in found)

    @property
    def defaults(self) -> dict[str, Any]:
        """The values of the parameters that a call may leave out, by name."""
        found = self._signature.parameters.values()
        return {one.name: one.default for one in found if one.default is not one.empty}

    def complete(self, raw: msgspec.Raw, keywords: tuple[str, ...]) -> dict[str, Any]:
        """Return the values of all parameters by name, from arguments that ``encode`` produced, and from defaults.

        Raises:
            ArgumentsError: They no longer fit the handler.
        """
        args, kwargs = self.decode(raw, keywords)
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    def subject(self, values: Mapping[str, Any]) -> bytes:
        """Return values of parameters, by name, as bytes that are the same for equal values.

        Raises:
            ArgumentsError: One of them can't be written so.
        """
        try:
            return self._hooks.encode_stably({name: self._plain(name, value) for name, value in values.items()})
        except ENCODING_ERRORS as error:
            raise ArgumentsError(f"{self._name}(): {', '.join(values)} can't tell calls apart: {error}") from error

    def place_of(self, name: str, count: int, keywords: tuple[str, ...]) -> int | None:
        """Return where ``count`` stored arguments have that of a parameter; ``None`` if it was left out."""
        if name in keywords:
            return count - len(keywords) + keywords.index(name)
        place = next((at for at, (one, _) in enumerate(self._positional) if one == name), count)
        return place if place < count - len(keywords) else None

    def codec_of(self, name: str) -> Codec:
        """Return how the values of a parameter are written and read."""
        return (dict(self._positional) | self._by_name)[name]

    def _plain(self, name: str, value: Any) -> Any:
        kind = self._signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            return _dumped([self._rest[1]] * len(value), value)
        if kind is inspect.Parameter.VAR_KEYWORD:
            return dict(zip(value, _dumped([self._others] * len(value), [*value.values()]), strict=True))
        return _dumped([self.codec_of(name)], [value])[0]

    # -- arguments that msgspec can't write alone, or that might arrive as others

    def _write_and_compare(self, codecs: Sequence[Codec], dumps: bool, stored: _Stored, values: Sequence[Any]) -> bytes:
        """Return ``values`` encoded; raise ``ArgumentsError`` if they would be read as others, or not at all."""
        raw = self._hooks.encode_value(_dumped(codecs, values) if dumps else values)
        try:
            arrived = stored.decode(raw)
        except Exception as error:
            raise self._refusal(stored.keywords, values, error) from self._cause(error)
        try:
            if arrived == tuple(values):
                return raw
        except Exception:
            # There are objects that can't be compared; their fields can.
            pass
        problem = changed(self._named(stored.keywords, values), arrived)
        if problem is not None:
            raise ArgumentsError(f"{self._name}(): {problem}")
        return raw

    def _refusal(self, keywords: tuple[str, ...], values: Sequence[Any], error: Exception) -> ArgumentsError:
        problem = wrongly_typed(self._named(keywords, values))
        if problem is None:
            problem = f"the arguments do not fit {self._signature}{self._told(error)}"
        return ArgumentsError(f"{self._name}(): {problem}")

    def _told(self, error: Exception) -> str:
        """Return the end of a message that tells an error; its text may quote a value, so not where one is secret."""
        return (
            f" ({type(error).__name__}; no more is told, since an argument is secret)" if self.secret else f": {error}"
        )

    def _cause(self, error: Exception) -> Exception | None:
        """Return the error that another one comes from, for its traceback; none where an argument is secret."""
        return None if self.secret else error

    # -- shapes: what is the same of all calls with so many positional arguments and these names

    def _shape(self, count: int, names: tuple[str, ...]) -> _Shape:
        self._refuse_misfit(count, names, "given")
        # What follows on the positional arguments is stored as one of them, so that names needn't be.
        follow = list(
            itertools.takewhile(
                lambda name: name in names and name in self._by_name, (name for name, _ in self._positional[count:])
            )
        )
        keywords = tuple(name for name in names if name not in follow)
        order = (*range(count), *(count + names.index(name) for name in (*follow, *keywords)))
        stored = self._stored_as(count + len(follow), keywords)
        codecs = [codec for _, codec in self._parameters(stored.positional, keywords)]
        write = self._hooks.encode_value
        check: Callable[[bytes], object] = stored.decode
        if not all(codec.is_exact for codec in codecs):
            dumps = any(codec.dump is not None for codec in codecs)
            write, check = partial(self._write_and_compare, codecs, dumps, stored), _is_checked
        shape = _Shape(() if order == tuple(range(len(order))) else order, write, check, keywords)
        if len(self._shapes) < _MAX_SHAPES:
            self._shapes[count, *names] = shape
        return shape

    def _stored_as(self, positional: int, keywords: tuple[str, ...]) -> _Stored:
        codecs = [codec for _, codec in self._parameters(positional, keywords)]
        kind = types.GenericAlias(tuple, tuple(codec.kind for codec in codecs)) if codecs else tuple[()]
        decode: Callable[..., Any] = msgspec.msgpack.Decoder(kind, dec_hook=self._hooks.decode).decode
        if any(codec.load is not None for codec in codecs):
            decode = _loading(decode, codecs)
        stored = _Stored(decode, positional, keywords)
        if len(self._stored) < _MAX_SHAPES:
            self._stored[positional + len(keywords), keywords] = stored
        return stored

    def _refuse_misfit(self, count: int, names: tuple[str, ...], given: str) -> None:
        problem = misfit(self._signature, count, names, given)
        if problem is not None:
            raise ArgumentsError(f"{self._name}() {problem} Its parameters are {self._signature}.")

    def _named(self, keywords: tuple[str, ...], values: Sequence[Any]) -> list[Argument]:
        parameters = self._parameters(len(values) - len(keywords), keywords)
        # Other names than the parameters' own are those of **others.
        others = bool(self.secret & self._other_names)
        return [
            Argument(name, codec, value, name in self.secret or (others and codec is self._others))
            for (name, codec), value in zip(parameters, values, strict=True)
        ]

    def _parameters(self, positional: int, keywords: tuple[str, ...]) -> list[tuple[str, Codec]]:
        """Return name and codec of each argument in the order in which they are stored."""
        own = self._positional[:positional]
        rest = [self._rest] * (positional - len(own))
        return [*own, *rest, *((name, self._by_name.get(name, self._others)) for name in keywords)]


def plainly_encoded(name: str, values: Sequence[Any]) -> bytes:
    """Return the arguments of a job, which are plain data, as a msgpack array.

    Raises:
        ArgumentsError: They can't be encoded.
    """
    try:
        return msgspec.msgpack.encode(values)
    except ENCODING_ERRORS as error:
        raise ArgumentsError(f"{name}(): the arguments can't be encoded: {error}; expected plain data") from None


def _dumped(codecs: Sequence[Codec], values: Sequence[Any]) -> list[Any]:
    return [value if codec.dump is None else codec.dump(value) for codec, value in zip(codecs, values, strict=True)]


def _is_checked(raw: bytes) -> None:
    """Check what was compared when it was written: nothing is left to do."""


def _loading(decode: Callable[..., Any], codecs: Sequence[Codec]) -> Callable[..., tuple[Any, ...]]:
    """Return what decodes arguments, and then loads those that msgspec can't read alone."""

    def load(raw: bytes | msgspec.Raw) -> tuple[Any, ...]:
        return tuple(
            value if codec.load is None else codec.load(value) for codec, value in zip(codecs, decode(raw), strict=True)
        )

    return load


def _array_length(raw: msgspec.Raw) -> int:
    """Return the length of a msgpack array from its first bytes (msgpack specification, array format family)."""
    head = memoryview(raw)
    kind = head[0] if len(head) else 0
    if 0x90 <= kind <= 0x9F:
        return kind & 0x0F
    # An element takes a byte at least, so a larger length is no length.
    if kind == 0xDC and (size := int.from_bytes(head[1:3], "big")) < len(head):
        return size
    if kind == 0xDD and (size := int.from_bytes(head[1:5], "big")) < len(head):
        return size
    refuse_encrypted("the arguments are", raw)
    raise ArgumentsError(f"the stored arguments are damaged: no msgpack array begins with {bytes(head[:4])!r}")
