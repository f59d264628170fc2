"""The ASGI app of the admin API."""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import partial
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Endpoint

from asyncjobs.admin.access import Access
from asyncjobs.admin.api import (
    bulk,
    dead,
    events,
    figures,
    holds,
    jobs,
    limits,
    listing,
    operations,
    problems,
    purging,
    queues,
    schedules,
    undoing,
)
from asyncjobs.admin.api.metrics import exposition
from asyncjobs.admin.api.openapi import document
from asyncjobs.admin.api.responses import json_response, problem_response
from asyncjobs.admin.api.route import Call, InQueue, Route, read_query
from asyncjobs.admin.csrf import SAFE_METHODS
from asyncjobs.admin.door import Authorize, Door
from asyncjobs.admin.mounting import mounting
from asyncjobs.admin.problem import Problem, problem_of
from asyncjobs.admin.stream import wants_stream
from asyncjobs.app import App
from asyncjobs.core.bounds import shown
from asyncjobs.core.options import DEFAULT_QUEUE
from asyncjobs.jobs.tenant_scope import tenant_scope

__all__ = ["ROUTES", "admin_api"]

_log = logging.getLogger("asyncjobs.admin")

_JSON = "application/json"
_MAX_BODY = 256 * 1024

#: Literal paths stand before those in which an id, which may hold slashes, is the last part.
ROUTES: list[Route] = sorted(
    [
        *queues.ROUTES,
        *limits.ROUTES,
        *problems.ROUTES,
        *jobs.ROUTES,
        *bulk.ROUTES,
        *undoing.ROUTES,
        *dead.ROUTES,
        *listing.ROUTES,
        *events.ROUTES,
        *figures.ROUTES,
        *schedules.ROUTES,
        *holds.ROUTES,
        *purging.ROUTES,
        *operations.ROUTES,
    ],
    key=lambda route: ("{" in route.path, route.path.endswith("}")),
)


def admin_api(
    app: App, *, authorize: Authorize, trusted_origins: Collection[str] = (), mounted_at: str = ""
) -> Starlette:
    """Return an ASGI app that shows and steers the jobs of ``app`` over HTTP; ``/openapi.json`` lists its routes.

    The program that mounts it keeps ``app`` open, as by ``lifespan=app.lifespan``.

    Args:
        app: The app.
        authorize: Takes each request and returns what its caller may see and do, an ``Access``; ``None`` if it is
            nobody known, which the caller is told with status 401. It may be async, and may raise an ``HTTPException``
            of Starlette or FastAPI.
        trusted_origins: Origins, as in ``https://ops.example.com``, whose pages may change something by a request
            here. Pages of the API's own origin always may.
        mounted_at: The path at which it is mounted, as in ``/admin/jobs``, for a web framework that doesn't say it in
            ASGI's ``root_path``. Litestar is one; Starlette and FastAPI say it.

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
    api = _Api(app, Door(authorize, trusted_origins, _refuse, "api"))
    web = Starlette(
        routes=[
            Endpoint("/healthz", api.health, methods=["GET"]),
            Endpoint("/openapi.json", api.openapi, methods=["GET"]),
            Endpoint("/metrics", api.metrics, methods=["GET"]),
            *(Endpoint(route.path, partial(api.answer, route), methods=[route.method]) for route in ROUTES),
        ],
        middleware=mounting(mounted_at),
        exception_handlers={HTTPException: _no_route},
    )
    # A POST that was redirected may have been meant for another route.
    web.router.redirect_slashes = False
    return web


class _Api:
    """The endpoints.

    Args:
        app: The app.
        door: What lets requests in.
    """

    def __init__(self, app: App, door: Door) -> None:
        self._app = app
        self._door = door

    async def answer(self, route: Route, request: Request) -> Response:
        """Answer a request of ``route``."""

        async def reply(access: Access) -> Response:
            _check_body(request)
            query = read_query(route.query, request.query_params)
            # The caller's own tenant, as of a middleware around, is not what an operator looks at.
            with tenant_scope(None):
                call = Call(self._app, access, request.path_params, query, await _body(route, request))
                if route.stream is not None and wants_stream(request):
                    return await route.stream(call, request)
                found = await route.answer(call)
            if route.method not in SAFE_METHODS:
                _log.info("%r: %s %r", access.name, route.method, request.url.path)
            return json_response(found)

        return await self._door.through(request, route.needs, reply)

    async def openapi(self, request: Request) -> Response:
        """Answer with the OpenAPI document."""

        async def reply(access: Access) -> Response:
            return json_response(document(ROUTES, request.scope.get("root_path", "")))

        return await self._door.through(request, "look", reply)

    async def metrics(self, request: Request) -> Response:
        """Answer with figures for Prometheus."""

        async def reply(access: Access) -> Response:
            with tenant_scope(None):
                return await exposition(Call(self._app, access, {}, read_query(InQueue, request.query_params)))

        return await self._door.through(request, "look", reply)

    async def health(self, request: Request) -> Response:
        """Answer whether the broker can be reached, to anybody."""
        try:
            await self._app.queue_stats(DEFAULT_QUEUE)
        except Exception as error:
            return problem_response(request, problem_of(error, "GET /healthz"))
        return json_response({"status": "ok"})


async def _refuse(request: Request, problem: Problem, access: Access | None) -> Response:
    return problem_response(request, problem)


def _check_body(request: Request) -> None:
    """Refuse what a form of another site can send.

    Raises:
        Problem: The body is of another type than JSON.
    """
    kind = request.headers.get("content-type")
    if request.method not in SAFE_METHODS and kind and kind.partition(";")[0].strip().lower() != _JSON:
        raise Problem(415, f"Content-Type: {shown(kind)}: expected {_JSON}, or no body")


async def _body(route: Route, request: Request) -> Any:
    """Return what a request says in its body; without one, what is meant by default.

    Raises:
        Problem: The body is too large, no JSON, or says something else.
    """
    if route.body is None:
        return None
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BODY:
            raise Problem(413, f"a body of more than {_MAX_BODY:,} bytes")
    try:
        return msgspec.json.decode(body or b"{}", type=route.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        known = ", ".join(route.body.__struct_fields__)
        raise Problem(400, f"the body: {error}; expected a JSON object with {known}") from None


async def _no_route(request: Request, error: Exception) -> Response:
    """Answer where there is no such route."""
    assert isinstance(error, HTTPException)
    detail = f"{request.method} {request.url.path}: {error.detail}; GET /openapi.json lists what there is"
    return problem_response(request, Problem(error.status_code, detail, headers=error.headers))
