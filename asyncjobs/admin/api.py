"""The ASGI app: it finds the route, asks who calls, and answers."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Collection
from functools import partial

from asyncjobs.errors import ConfigurationError

try:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route as Endpoint
except ImportError as error:
    raise ConfigurationError(
        "the admin API needs Starlette, which is not installed: pip install 'asyncjobs[admin]'"
    ) from error

from asyncjobs.admin import jobs, queues, schedules
from asyncjobs.admin.access import Access, Permission
from asyncjobs.admin.csrf import SAFE_METHODS, cross_site
from asyncjobs.admin.openapi import document
from asyncjobs.admin.problem import Problem, json_response, problem_of
from asyncjobs.admin.route import Call, Route, read_query
from asyncjobs.app import App
from asyncjobs.core.bounds import shown
from asyncjobs.core.options import DEFAULT_QUEUE
from asyncjobs.jobs.tenant_scope import tenant_scope

__all__ = ["Authorize", "admin_api"]

_log = logging.getLogger("asyncjobs.admin")

Authorize = Callable[[Request], Access | Awaitable[Access | None] | None]
"""Says what the caller of a request may see and do; ``None`` if it is nobody known. It may be async."""

_JSON = "application/json"

#: Literal paths stand before those in which an id, which may hold slashes, is the last part.
ROUTES: list[Route] = sorted(
    [*queues.ROUTES, *jobs.ROUTES, *schedules.ROUTES], key=lambda route: ("{" in route.path, route.path.endswith("}"))
)


def admin_api(app: App, *, authorize: Authorize, trusted_origins: Collection[str] = ()) -> Starlette:
    """Return an ASGI app that shows and steers the jobs of ``app`` over HTTP; ``/openapi.json`` lists its routes.

    The program that mounts it keeps ``app`` open, as by ``lifespan=app.lifespan``.

    Args:
        app: The app.
        authorize: Takes each request and returns what its caller may see and do, an ``Access``; ``None`` if it is
            nobody known, which the caller is told with status 401. It may be async, and may raise an ``HTTPException``
            of Starlette or FastAPI.
        trusted_origins: Origins, as in ``https://ops.example.com``, whose pages may change something by a request
            here. Pages of the API's own origin always may.

    Raises:
        ConfigurationError: An argument is wrong.

    Example:
        ```python
        def who(request: Request) -> Access | None:
            user = request.user
            return Access(user.email, "operator") if user.is_staff else None

        web = FastAPI(lifespan=app.lifespan)
        web.mount("/api/admin", admin_api(app, authorize=who))
        ```
    """
    if not callable(authorize):
        raise ConfigurationError(f"authorize={shown(authorize)}: expected a function that takes a request")
    if isinstance(trusted_origins, str):
        raise ConfigurationError(f"trusted_origins={shown(trusted_origins)}: expected several, as in a list")
    door = _Door(app, authorize, trusted_origins)
    web = Starlette(
        routes=[
            Endpoint("/healthz", door.health, methods=["GET"]),
            Endpoint("/openapi.json", door.openapi, methods=["GET"]),
            *(Endpoint(route.path, partial(door.answer, route), methods=[route.method]) for route in ROUTES),
        ],
        exception_handlers={HTTPException: _refuse},
    )
    # A POST that was redirected may have been meant for another route.
    web.router.redirect_slashes = False
    return web


class _Door:
    """What stands before each route: who calls, from where, and whether they may.

    Args:
        app: As of ``admin_api``.
        authorize: As of ``admin_api``.
        trusted_origins: As of ``admin_api``.
    """

    def __init__(self, app: App, authorize: Authorize, trusted_origins: Collection[str]) -> None:
        self._app = app
        self._authorize = authorize
        self._trusted_origins = trusted_origins

    async def answer(self, route: Route, request: Request) -> Response:
        """Answer a request of ``route``."""

        async def reply(access: Access) -> object:
            query = read_query(route.query, request.query_params)
            # The caller's own tenant, as of a middleware around, is not what an operator looks at.
            with tenant_scope(None):
                found: object = await route.answer(Call(self._app, access, request.path_params, query))
            if route.method not in SAFE_METHODS:
                _log.info("%r: %s %r", access.name, route.method, request.url.path)
            return found

        return await self._guarded(request, route.needs, reply)

    async def openapi(self, request: Request) -> Response:
        """Answer with the OpenAPI document."""

        async def reply(access: Access) -> object:
            return document(ROUTES, request.scope.get("root_path", ""))

        return await self._guarded(request, "look", reply)

    async def health(self, request: Request) -> Response:
        """Answer whether the broker can be reached, to anybody."""
        try:
            await self._app.queue_stats(DEFAULT_QUEUE)
        except Exception as error:
            return problem_of(error, "GET /healthz")
        return json_response({"status": "ok"})

    async def _guarded(
        self, request: Request, needs: Permission, reply: Callable[[Access], Awaitable[object]]
    ) -> Response:
        try:
            self._check_sender(request)
            return json_response(await reply(await self._access(request, needs)))
        except HTTPException as error:
            return Problem(error.status_code, str(error.detail), headers=error.headers).response()
        except Exception as error:
            return problem_of(error, f"{request.method} {request.url.path}")

    async def _access(self, request: Request, needs: Permission) -> Access:
        """Return what the caller may see and do.

        Raises:
            Problem: It is nobody known, or may not do this.
        """
        access = self._authorize(request)
        if inspect.isawaitable(access):
            access = await access
        if access is None:
            raise Problem(401, "authorize= knows no such caller")
        if not isinstance(access, Access):
            raise ConfigurationError(f"authorize= returned {shown(access)}: expected an Access, or None")
        if needs not in access.permissions:
            raise Problem(403, f"{access.name} may {', '.join(sorted(access.permissions))}; this needs {needs!r}")
        return access

    def _check_sender(self, request: Request) -> None:
        """Refuse what another site's page may have sent.

        Raises:
            Problem: It may have, or the body is of a type that forms have.
        """
        if why := cross_site(request.method, request.headers, self._trusted_origins):
            raise Problem(403, why)
        kind = request.headers.get("content-type")
        if request.method not in SAFE_METHODS and kind and kind.partition(";")[0].strip().lower() != _JSON:
            raise Problem(415, f"Content-Type: {shown(kind)}: expected {_JSON}, or no body")


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer where there is no such route."""
    assert isinstance(error, HTTPException)
    detail = f"{request.method} {request.url.path}: {error.detail}; GET /openapi.json lists what there is"
    return Problem(error.status_code, detail, headers=error.headers).response()
