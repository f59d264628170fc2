"""A handler's parameters: calls are bound to them, checked and encoded; records are decoded back into them.

What is sent is decoded once right after it was encoded, into the annotated types: what the worker could not read is
refused where the mistake was made.
"""

from __future__ import annotations

import inspect
import types
import typing
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from asyncjobs.core.values import ENCODING_ERRORS, decode_model, decode_value, encode_value
from asyncjobs.errors import ArgumentsError, DefinitionError, closest
from asyncjobs.jobs.resources import Injected

__all__ = ["Signature"]

_KEPT_DECODERS = 64


class _Plan(typing.NamedTuple):
    decode: Callable[[msgspec.Raw], tuple[Any, ...]]
    positional: int
    keywords: tuple[str, ...]


class Signature:
    """The parameters of the handler ``name``, and its return type.

    Raises ``DefinitionError`` if msgspec can't decode an annotation, ``NameError`` if one isn't defined yet.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._name = name
        self._signature = _sent(inspect.signature(function), name)
        hints = typing.get_type_hints(function, include_extras=True)
        self._types: dict[str, Any] = {}
        self._positional: list[str] = []
        self._required: set[str] = set()
        self._positional_only: set[str] = set()
        self._rest: str | None = None
        self._options: str | None = None
        for parameter in self._signature.parameters.values():
            kind = hints.get(parameter.name, Any)
            self._check(kind, f"parameter {parameter.name!r}")
            self._types[parameter.name] = kind
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._rest = parameter.name
                continue
            if parameter.kind is parameter.VAR_KEYWORD:
                self._options = parameter.name
                continue
            if parameter.kind is not parameter.KEYWORD_ONLY:
                self._positional.append(parameter.name)
            if parameter.kind is parameter.POSITIONAL_ONLY:
                self._positional_only.add(parameter.name)
            if parameter.default is parameter.empty:
                self._required.add(parameter.name)
        self.returns: Any = hints.get("return", Any)
        self._check(self.returns, "the return value")
        self._least = len([one for one in self._positional if one in self._required])
        self._only_positional = len(self._required) == self._least
        self._plans: dict[tuple[int, tuple[str, ...]], _Plan] = {}
        #: A 32-bit hash of names, order, defaults and types, by which a later version of the code is recognised.
        self.hash = zlib.crc32(str(self._signature).encode())

    def _check(self, kind: Any, what: str) -> None:
        try:
            unknown = _undecodable(msgspec.inspect.type_info(kind))
        except (TypeError, RecursionError) as error:
            raise DefinitionError(f"job {self._name!r}: {what} can't be decoded: {error}") from None
        if unknown is not None:
            raise DefinitionError(
                f"job {self._name!r}: {what} is annotated with {unknown.__qualname__}, which can't be encoded. "
                "Use types that msgspec knows (dataclass, Struct, datetime, UUID, Decimal, Enum, containers …) "
                "or a pydantic model."
            )

    def __str__(self) -> str:
        return str(self._signature)

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[bytes, tuple[str, ...]]:
        """Bind, encode and check a call; return the msgpack array, and the names of those passed by keyword.

        Raises ``ArgumentsError`` if the call does not fit the handler, or a value its annotation.
        """
        values, keywords = self._bind(args, kwargs)
        try:
            raw = encode_value(values)
        except ENCODING_ERRORS as error:
            raise ArgumentsError(self._blame_encoding(values, keywords, error)) from error
        try:
            self._plan(len(values), keywords).decode(msgspec.Raw(raw))
        except msgspec.ValidationError as error:
            raise ArgumentsError(self._blame_value(values, keywords, error)) from error
        return raw, keywords

    def decode(self, raw: msgspec.Raw, keywords: tuple[str, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments that ``encode`` produced, as the handler's types.

        Raises ``ArgumentsError`` if they no longer fit the handler.
        """
        size = _array_length(raw)
        try:
            plan = self._plan(size, keywords)
            values = plan.decode(raw)
        except msgspec.MsgspecError as error:
            raise ArgumentsError(f"{self._name}{self._signature}: the stored arguments do not fit: {error}") from error
        if not plan.keywords:
            return values, {}
        return values[: plan.positional], dict(zip(plan.keywords, values[plan.positional :], strict=True))

    # -- binding

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Sequence[Any], tuple[str, ...]]:
        count = len(args)
        if (
            not kwargs
            and self._only_positional
            and self._least <= count
            and (count <= len(self._positional) or self._rest is not None)
        ):
            return args, ()
        if count > len(self._positional) and self._rest is None:
            raise self._misfit(f"takes {len(self._positional)} positional arguments, but {count} were given")
        values = list(args)
        keywords: list[str] = []
        left = dict(kwargs)
        for name in self._positional[:count]:
            if name in left and name not in self._positional_only:
                raise self._misfit(f"got two values for {name!r}")
        for name in self._positional[count:]:
            if name in left and name not in self._positional_only:
                value = left.pop(name)
                if len(values) < self._positional.index(name) or keywords:
                    keywords.append(name)
                values.append(value)
        for name in list(left):
            is_named = name in self._types and name not in self._positional_only
            if self._options is None and (not is_named or name == self._rest):
                raise self._misfit(f"has no parameter {name!r}.{closest(name, self._types)}")
            keywords.append(name)
            values.append(left[name])
        given = {*self._positional[: len(values) - len(keywords)], *keywords}
        missing = [name for name in self._types if name in self._required and name not in given]
        if missing:
            raise self._misfit(f"is missing {', '.join(map(repr, missing))}")
        return values, tuple(keywords)

    def _misfit(self, problem: str) -> ArgumentsError:
        return ArgumentsError(f"{self._name}() {problem}; its parameters are {self._signature}")

    # -- decoding

    def _plan(self, size: int, keywords: tuple[str, ...]) -> _Plan:
        plan = self._plans.get((size, keywords))
        if plan is None:
            positional = size - len(keywords)
            kinds = [self._types[name] for name in self._positional[:positional]]
            extra = positional - len(kinds)
            if extra > 0 and self._rest is None:
                raise self._misfit(f"takes {len(self._positional)} positional arguments, but {positional} were sent")
            kinds += [self._types[self._rest]] * extra if self._rest is not None else []
            for name in keywords:
                if name in self._types:
                    kinds.append(self._types[name])
                elif self._options is not None:
                    kinds.append(self._types[self._options])
                else:
                    raise self._misfit(f"has no parameter {name!r}")
            missing = self._required - {*self._positional[:positional], *keywords}
            if missing:
                raise self._misfit(f"is missing {', '.join(map(repr, sorted(missing)))}")
            kind = types.GenericAlias(tuple, tuple(kinds)) if kinds else tuple[()]
            plan = _Plan(msgspec.msgpack.Decoder(kind, dec_hook=decode_model).decode, positional, keywords)
            if len(self._plans) < _KEPT_DECODERS:
                self._plans[size, keywords] = plan
        return plan

    # -- blame: which argument was it

    def _named(self, values: Sequence[Any], keywords: tuple[str, ...]) -> list[tuple[str, Any, Any]]:
        positional = len(values) - len(keywords)
        names = [*self._positional[:positional]]
        names += [self._rest or ""] * (positional - len(names))
        names += keywords
        fallback = self._options or ""
        return [
            (name, value, self._types.get(name, self._types.get(fallback, Any)))
            for name, value in zip(names, values, strict=True)
        ]

    def _blame_encoding(self, values: Sequence[Any], keywords: tuple[str, ...], error: Exception) -> str:
        for name, value, _ in self._named(values, keywords):
            try:
                encode_value(value)
            except ENCODING_ERRORS as found:
                return (
                    f"{self._name}(): argument {name!r} of type {type(value).__qualname__} can't be encoded ({found}); "
                    "send an id, or a dataclass, Struct, pydantic model or other type that msgspec encodes"
                )
        return f"{self._name}(): the arguments can't be encoded: {error}"

    def _blame_value(self, values: Sequence[Any], keywords: tuple[str, ...], error: Exception) -> str:
        for name, value, kind in self._named(values, keywords):
            try:
                decode_value(kind, encode_value(value))
            except msgspec.ValidationError as found:
                return (
                    f"{self._name}(): argument {name!r} does not fit its annotation "
                    f"{inspect.formatannotation(kind)}: {found}; given was {value!r:.100}"
                )
        return f"{self._name}(): the arguments do not fit {self._signature}: {error}"


def _sent(signature: inspect.Signature, name: str) -> inspect.Signature:
    """Return the parameters that a call is bound to: all but those that the worker fills in."""
    kept: list[inspect.Parameter] = []
    injected: str | None = None
    for parameter in signature.parameters.values():
        if isinstance(parameter.default, Injected):
            injected = parameter.name
            if parameter.kind is parameter.POSITIONAL_ONLY:
                raise DefinitionError(f"job {name!r}: {injected!r} is injected, so it can't be positional-only")
            continue
        if injected is not None and parameter.kind not in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
            raise DefinitionError(
                f"job {name!r}: {parameter.name!r} stands behind {injected!r}, which is injected; put what is injected "
                "last, or behind a *"
            )
        kept.append(parameter)
    return signature.replace(parameters=kept)


def _array_length(raw: msgspec.Raw) -> int:
    """Return the length of a msgpack array from its first bytes (msgpack specification, array format family)."""
    head = memoryview(raw)
    kind = head[0] if len(head) else 0
    if 0x90 <= kind <= 0x9F:
        return kind & 0x0F
    if kind == 0xDC and len(head) >= 3:
        return int.from_bytes(head[1:3], "big")
    if kind == 0xDD and len(head) >= 5:
        return int.from_bytes(head[1:5], "big")
    raise ArgumentsError(f"the stored arguments are damaged: no msgpack array begins with {bytes(head[:4])!r}")


def _undecodable(info: Any, seen: set[int] | None = None) -> type | None:
    """Return the first type inside ``info`` that neither msgspec nor a ``model_validate`` can build."""
    seen = set() if seen is None else seen
    if id(info) in seen:
        return None
    seen.add(id(info))
    if isinstance(info, msgspec.inspect.CustomType):
        return None if info.cls is object or hasattr(info.cls, "model_validate") else info.cls
    if isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field):
        for field in type(info).__struct_fields__:
            inner = getattr(info, field)
            for one in inner if isinstance(inner, tuple) else (inner,):
                found = _undecodable(one, seen)
                if found is not None:
                    return found
    return None
