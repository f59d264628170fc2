"""What a page, a button and a way to another page are: what each module of pages is written with."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from asyncjobs.admin.access import Permission
from asyncjobs.admin.api.route import Call, NoQuery
from asyncjobs.core.bounds import MAX_COUNT

__all__ = [
    "TYPED_FROM",
    "Attachment",
    "Done",
    "Form",
    "Number",
    "Page",
    "Redirect",
    "Stream",
    "is_mistyped",
    "to_own_tenant",
]

#: From how many jobs on their number must be typed.
TYPED_FROM = 500

Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
"""How many jobs, in an address or a form."""


class Page(NamedTuple):
    """One page."""

    path: str
    """Its path, as Starlette writes it."""
    template: str
    """The file in ``templates/``."""
    load: Callable[[Call[Any]], Awaitable[Mapping[str, Any]]]
    """Returns what the template shows."""
    query: type[msgspec.Struct] = NoQuery
    """What may stand behind the question mark."""
    needs: Permission = "look"
    """What the caller must be permitted."""


class Redirect(Exception):
    """Sends the browser to another page.

    Args:
        parts: The parts of its path.
        query: What stands behind the question mark.
    """

    def __init__(self, *parts: str, **query: str | None) -> None:
        self.parts = parts
        self.query = query


class Attachment(Exception):
    """Sends a file in place of a page, as text that no browser shows.

    Args:
        name: The name of the file.
        data: What stands in it, as UTF-8.
    """

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data


class Form(NamedTuple):
    """One button."""

    path: str
    """Its path, as Starlette writes it."""
    needs: Permission
    """What the caller must be permitted."""
    send: Callable[[Call[Any]], Awaitable[Redirect]]
    """Does it, and returns where to go."""
    fields: type[msgspec.Struct] = NoQuery
    """The fields of the form."""


class Stream(NamedTuple):
    """What the script of a page follows."""

    path: str
    """Its path, as Starlette writes it."""
    open: Callable[[Call[Any], Request], Awaitable[Response]]
    """Returns the stream."""
    query: type[msgspec.Struct] = NoQuery
    """What may stand behind the question mark."""
    needs: Permission = "look"
    """What the caller must be permitted."""


class Done(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was done before."""

    done: str = ""
    """The verb."""
    job: str = ""
    """The id of the job that came of it."""


def is_mistyped(typed: str, count: int) -> bool:
    """Return whether there are so many jobs that their number must be typed, and something else was."""
    return count >= TYPED_FROM and typed.replace(",", "").strip() != str(count)


def to_own_tenant(call: Call[Any], place: str) -> None:
    """Send callers who may see the jobs of several tenants alone to those of one, where they have asked for none.

    Args:
        call: The caller, whose query has a ``tenant``.
        place: The page.

    Raises:
        Redirect: They are sent there.
    """
    query, own = call.query, call.access.tenants
    if query.tenant is None and own is not None and len(own) > 1:
        default = msgspec.structs.asdict(type(query)())
        # What was asked for, as the texts that it came in.
        given = {
            name: msgspec.to_builtins(value)
            for name, value in msgspec.structs.asdict(query).items()
            if value != default[name]
        }
        raise Redirect(place, **{**given, "tenant": own[0]})


def fields_of(kind: type[msgspec.Struct], given: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return what a form or a query string gives for the fields of ``kind``; empty fields give nothing.

    A field that is a list gets each value under its name, any other one the last.
    """
    found: dict[str, Any] = {}
    for name, text in given:
        if not text:
            continue
        if name in _lists_of(kind):
            found.setdefault(name, []).append(text)
        else:
            found[name] = text
    return found


@functools.cache
def _lists_of(kind: type[msgspec.Struct]) -> frozenset[str]:
    """Return the names of the fields that are lists."""
    hints = get_type_hints(kind, include_extras=True)
    bare = {name: get_args(hint)[0] if get_origin(hint) is Annotated else hint for name, hint in hints.items()}
    return frozenset(name for name, hint in bare.items() if get_origin(hint) is list)
