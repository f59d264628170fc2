"""The tenant of a web request: the code that serves it, and the jobs that it sends, are for that tenant."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from asyncjobs import TenantContext, tenant_scope
from asyncjobs.errors import ArgumentsError, TenantError, UnknownTenant
from asyncjobs.ports import TenantResolver
from asyncjobs.tenancy.checks import checked_resolver, resolve_checked

__all__ = ["TenantMiddleware", "TenantOf", "from_header", "from_subdomain"]

Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_App = Callable[[Scope, _Receive, _Send], Awaitable[None]]

TenantOf = Callable[[Scope], str | Awaitable[str | None] | None]
"""Takes the ASGI scope of a connection, and returns the tenant's id, or ``None`` without a tenant."""

_POLICY_VIOLATION = 1008


class TenantMiddleware:
    """ASGI middleware that serves each request, and each websocket, in the ``tenant_scope`` of its tenant.

    An id that can't be one is refused with 400, an unknown tenant with 404, a suspended one with 403; a websocket is
    closed before it is accepted.

    Args:
        app: The ASGI application inside.
        tenant_of: A function or coroutine function that takes the ASGI scope and returns the tenant's id, or ``None``
            without a tenant. It must not believe what a client may say of itself, unless something before it has
            checked that (a login, a token's signature, a proxy).
        resolver: What knows the tenants, and with them their schemas. Without one, by default, every id is accepted.

    Raises:
        ConfigurationError: ``resolver`` is none.

    Example:
        ```python
        app.add_middleware(TenantMiddleware, tenant_of=from_header("x-tenant"))
        ```
    """

    def __init__(self, app: _App, tenant_of: TenantOf, resolver: TenantResolver | None = None) -> None:
        self._app = app
        self._tenant_of = tenant_of
        self._resolver = None if resolver is None else checked_resolver("TenantMiddleware(…)", resolver)

    async def __call__(self, scope: Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(tenant_scope(await self._tenant(scope)))
            except (ArgumentsError, TenantError) as error:
                await _refuse(scope, send, error)
                return
            await self._app(scope, receive, send)

    async def _tenant(self, scope: Scope) -> str | TenantContext | None:
        tenant_id = self._tenant_of(scope)
        if inspect.isawaitable(tenant_id):
            tenant_id = await tenant_id
        if not tenant_id or self._resolver is None:
            return tenant_id
        return await resolve_checked(self._resolver, tenant_id)


async def _refuse(scope: Scope, send: _Send, error: Exception) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": str(error)[:100]})
        return
    status = 400 if isinstance(error, ArgumentsError) else 404 if isinstance(error, UnknownTenant) else 403
    body = msgspec.json.encode({"detail": str(error)})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def from_header(name: str) -> TenantOf:
    """Return a function that takes the tenant's id from a header, for services behind a proxy that sets it.

    A request that has the header twice is refused: one of them may be the client's own, to which the proxy has added.

    Args:
        name: The header's name, in any case.
    """
    wanted = name.lower().encode()

    def tenant_of(scope: Scope) -> str | None:
        return _header(scope, wanted)

    return tenant_of


def from_subdomain(domain: str) -> TenantOf:
    """Return a function that takes the tenant's id from the host name: ``acme`` of ``acme.example.com``.

    Args:
        domain: What follows the id and a dot: ``example.com``.
    """
    suffix = "." + domain.lower().strip(".")

    def tenant_of(scope: Scope) -> str | None:
        # With a dot at its end it is the same host.
        host = (_header(scope, b"host") or "").partition(":")[0].lower().removesuffix(".")
        return host.removesuffix(suffix) or None if host.endswith(suffix) else None

    return tenant_of


def _header(scope: Scope, wanted: bytes) -> str | None:
    found: list[str] = [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == wanted]
    if len(found) > 1:
        raise ArgumentsError(
            f"the header {wanted.decode('latin-1')!r} is there {len(found)} times; expected one, to tell the tenant by"
        )
    return found[0] if found else None
