"""A route of the admin API: what it is called by, what it needs, and what it takes and returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Generic, NamedTuple, NoReturn, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from asyncjobs.admin.access import Access, Permission
from asyncjobs.admin.problem import Problem
from asyncjobs.app import App
from asyncjobs.app.acting import NOTE_CHARS
from asyncjobs.core.bounds import shown

__all__ = ["Call", "InQueue", "NoQuery", "Reason", "Route", "Why", "one_by_one", "read_query"]

Q = TypeVar("Q", bound=msgspec.Struct)
Q_co = TypeVar("Q_co", bound=msgspec.Struct, covariant=True)


Reason = Annotated[str, msgspec.Meta(max_length=NOTE_CHARS)]
"""Why something is done, for the audit."""


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A query string without parameters."""


class InQueue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which queue it is about."""

    queue: str | None = None
    """The queue; by default all queues are searched."""


class Why(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why something is done."""

    why: str = ""
    """The reason, for those who see what was done; at most 500 characters."""


class Call(NamedTuple, Generic[Q_co]):
    """One request, once its caller is known."""

    app: App
    """The app."""
    access: Access
    """What the caller may see and do."""
    path: Mapping[str, str]
    """The parameters in the path."""
    query: Q_co
    """The parameters behind the question mark."""
    body: Any = None
    """What the body says, where the route takes one."""

    def asking(self, query: Q, **path: str) -> Call[Q]:
        """Return a call of the same caller for another answer.

        Args:
            query: Its parameters behind the question mark.
            path: Its parameters in the path, besides those of this call.
        """
        return Call(self.app, self.access, {**self.path, **path}, query)

    def not_found(self, what: str, more: str = "") -> NoReturn:
        """Refuse the request, whether there is no such thing or the caller may not see it.

        Args:
            what: What there is not.
            more: How the sentence goes on.
        """
        raise Problem(404, f"there is no {what}, or it is none that {self.access.name} may see{more}")

    def narrowed(self, queue: str | None, tenant: str | None) -> tuple[list[str] | None, str | None]:
        """Return the queues and the tenant to list jobs of, given what is asked for.

        Returns:
            The queues, ``None`` for all, and none of them where the caller may see nothing of it; and the tenant.

        Raises:
            Problem: The caller may see several tenants, and asks for none of them.
        """
        access = self.access
        if access.tenants and tenant is None:
            if len(access.tenants) != 1:
                raise Problem(400, f"tenant: expected one of {', '.join(access.tenants)}, which you may see")
            [tenant] = access.tenants
        if access.tenants is not None and tenant not in access.tenants:
            return [], tenant
        if queue is None:
            return access.queues, tenant
        return [queue] if access.sees_queue(queue) else [], tenant

    def whole_queues(self) -> None:
        """Refuse the request if the caller may see the jobs of some tenants alone."""
        if self.access.tenants is not None:
            raise Problem(403, "these are figures of all tenants; ask for /tenants/{id}, one of your own")


class Route(NamedTuple):
    """One method of one path."""

    method: str
    """``GET`` or ``POST``."""
    path: str
    """The path, with parameters as Starlette writes them."""
    needs: Permission
    """What the caller must be permitted."""
    answer: Callable[[Call[Any]], Awaitable[Any]]
    """Returns the reply; the first line of its docstring says what it does."""
    reply: Any
    """The type of the reply."""
    query: type[msgspec.Struct] = NoQuery
    """What may stand behind the question mark."""
    stream: Callable[[Call[Any], Request], Awaitable[Response]] | None = None
    """Returns the reply as a stream, for who asks for one."""
    body: type[msgspec.Struct] | None = None
    """What may stand in the body, as JSON; each field has a default."""


def one_by_one(queues: Sequence[str] | None) -> Sequence[str | None]:
    """Return what a verb that takes one queue is to be called with, for ``queues`` as of ``Call.narrowed``."""
    return [None] if queues is None else queues


def read_query(kind: type[Q], given: Mapping[str, object]) -> Q:
    """Return the parameters ``given`` in a query string.

    Raises:
        Problem: One has a wrong value, or there is none of this name.
    """
    try:
        return msgspec.convert(dict(given), kind, strict=False)
    except msgspec.ValidationError as error:
        # It ends in "- at `$.name`", or names an unknown field.
        problem, _, at = str(error).rpartition(" - at `$.")
        name = at.rstrip("`")
        if name in given:
            raise Problem(400, f"{name}={shown(given[name])}: {problem}") from None
        known = ", ".join(kind.__struct_fields__) or "none"
        raise Problem(400, f"{error}; the parameters here are: {known}") from None
