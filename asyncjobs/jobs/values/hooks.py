"""Classes that msgspec doesn't know: those of the standard library, of the app's encoders, and of pydantic."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from asyncjobs.errors import ConfigurationError
from asyncjobs.jobs.values.models import adapter_of, is_model

__all__ = ["ENCODING_ERRORS", "STANDARD", "Encoders", "Hooks"]

#: What ``Hooks.encode_value`` may raise for a value that can't be encoded: anything, as code of the value's own does.
ENCODING_ERRORS = (Exception,)

Encoders: TypeAlias = Mapping[type[Any], tuple[Callable[[Any], Any], Callable[[Any], Any]]]
"""By class: the function that turns an object into a value that can be sent, and the one that turns it back."""

# Classes of the standard library whose text, passed to the class, makes an equal object. By name, so that none is
# imported for the sake of this list.
_BY_TEXT = frozenset(
    {
        "builtins.complex",
        "fractions.Fraction",
        "ipaddress.IPv4Address",
        "ipaddress.IPv4Interface",
        "ipaddress.IPv4Network",
        "ipaddress.IPv6Address",
        "ipaddress.IPv6Interface",
        "ipaddress.IPv6Network",
        "pathlib.Path",
        "pathlib.PosixPath",
        "pathlib.PurePath",
        "pathlib.PurePosixPath",
        "pathlib.PureWindowsPath",
        "pathlib.WindowsPath",
        "zoneinfo.ZoneInfo",
    }
)


class Hooks:
    """What msgspec calls for values of classes that it doesn't know.

    Args:
        encoders: The functions of the app for classes of its own.

    Raises:
        ConfigurationError: An encoder is no pair of functions, or msgspec would never ask for it.
    """

    def __init__(self, encoders: Encoders) -> None:
        if not isinstance(encoders, Mapping):
            raise ConfigurationError(f"encoders={encoders!r:.80}: expected a mapping of classes to pairs of functions")
        for kind, pair in encoders.items():
            _check_encoder(kind, pair)
        self._encoders = dict(encoders)
        #: Encodes any value that can be sent, to msgpack.
        self.encode_value: Callable[[Any], bytes] = msgspec.msgpack.Encoder(enc_hook=self._encode).encode
        #: Does the same, with sets and mappings in an order of their own, so that equal ones are equal bytes.
        self.encode_stably: Callable[[Any], bytes] = msgspec.msgpack.Encoder(
            enc_hook=self._encode, order="deterministic"
        ).encode

    def knows(self, kind: Any) -> bool:
        """Return whether values of the class ``kind``, which msgspec doesn't know, are written and read here."""
        return kind is object or kind in self._encoders or kind is re.Pattern or _is_standard(kind) or is_model(kind)

    def keeps(self, kind: Any) -> bool:
        """Return whether whatever is sent as the class ``kind`` arrives as it was: its own code has no part in it."""
        return kind not in self._encoders and (kind is re.Pattern or _is_standard(kind))

    def decode(self, annotation: Any, value: Any) -> Any:
        """Return ``value``, as it was decoded, as an object of a class, maybe with arguments; for ``dec_hook``.

        Raises:
            ValueError: It can't be one.
        """
        kind = typing.get_origin(annotation) or annotation
        if kind is object:
            # msgspec asks for it as for any class that it doesn't know; every value is one.
            return value
        try:
            if kind in self._encoders:
                return self._encoders[kind][1](value)
            if is_model(kind):
                return adapter_of(annotation).load(value)
            if kind is re.Pattern:
                return re.compile(*value)
            if not isinstance(value, str):
                raise TypeError(f"expected text, got {type(value).__qualname__}")
            return kind(value)
        except msgspec.ValidationError:
            raise
        except Exception as error:
            raise ValueError(f"{error} (read as {kind.__qualname__})") from error

    def _encode(self, value: Any) -> Any:
        kind: Any = type(value)
        encode = next((self._encoders[one][0] for one in kind.__mro__ if one in self._encoders), None)
        if encode is not None:
            try:
                return encode(value)
            except Exception as error:
                raise ValueError(
                    f"the encoder of {kind.__qualname__} raised {type(error).__qualname__}: {error}"
                ) from error
        if is_model(kind):
            return adapter_of(kind).dump(value)
        if isinstance(value, re.Pattern):
            return [value.pattern, value.flags]
        if any(map(_is_standard, kind.__mro__)):
            return str(value)
        advice = "; await it, in a handler that is an `async def`" if inspect.isawaitable(value) else ""
        raise NotImplementedError(f"a {kind.__qualname__} can't be encoded{advice}")


def _is_standard(kind: Any) -> bool:
    # Since Python 3.13 paths are of ``pathlib._local``.
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}" in _BY_TEXT


def _check_encoder(kind: object, pair: object) -> None:
    if not isinstance(kind, type) or not (isinstance(pair, tuple) and len(pair) == 2 and all(map(callable, pair))):
        raise ConfigurationError(
            f"encoders has {kind!r:.80}: {pair!r:.80}; expected a class and a pair of functions: one that turns an "
            "object into a value that can be sent, and one that turns the value back"
        )
    if not isinstance(msgspec.inspect.type_info(kind), msgspec.inspect.CustomType) or kind is object:
        raise ConfigurationError(
            f"encoders has {kind.__qualname__}, which is encoded without one; leave it out, or wrap its values in a "
            "class of your own"
        )


#: Without encoders of an app.
STANDARD = Hooks({})
