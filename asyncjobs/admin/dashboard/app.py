"""The ASGI app of the dashboard."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match
from starlette.routing import Route as Endpoint
from starlette.types import Scope

from asyncjobs.admin.access import Access
from asyncjobs.admin.api import queues
from asyncjobs.admin.api.route import Call, InQueue, read_query
from asyncjobs.admin.dashboard.figures import loads_of
from asyncjobs.admin.dashboard.following import STREAMS
from asyncjobs.admin.dashboard.forms import FORMS
from asyncjobs.admin.dashboard.outward import checked_links
from asyncjobs.admin.dashboard.page import Attachment, Form, Page, Redirect, Stream, fields_of
from asyncjobs.admin.dashboard.pages import PAGES
from asyncjobs.admin.dashboard.rendering import Renderer, is_fragment, root_of
from asyncjobs.admin.dashboard.sampler import SHARED_S, Sampler
from asyncjobs.admin.dashboard.shell import checked_choice, place_of, url_of
from asyncjobs.admin.door import Authorize, Door
from asyncjobs.admin.mounting import mounting
from asyncjobs.admin.problem import HEADERS, Problem
from asyncjobs.admin.stream import wants_stream
from asyncjobs.app import App
from asyncjobs.errors import AsyncJobsError
from asyncjobs.jobs.tenant_scope import tenant_scope

__all__ = ["dashboard"]

_log = logging.getLogger("asyncjobs.admin")

_MAX_FORM = 64 * 1024
# How old the number of dead jobs on all pages may be, and whether it has grown.
_DEAD_S = 5.0
_GREW_S = 60.0
_A_YEAR_S = 31_536_000


def dashboard(
    app: App,
    *,
    authorize: Authorize,
    title: str = "asyncjobs",
    environment: str = "",
    links: Mapping[str, str] | None = None,
    trusted_origins: Collection[str] = (),
    mounted_at: str = "",
) -> Starlette:
    """Return an ASGI app with pages to see and steer the jobs of ``app``.

    The program that mounts it keeps ``app`` open, as by ``lifespan=app.lifespan``. The pages work under any path, also
    without JavaScript, and load nothing from elsewhere.

    Args:
        app: The app.
        authorize: As ``admin_api`` takes it. For a person it may raise an ``HTTPException`` that leads to a login.
        title: The name in the bar of each page, such as that of the program.
        environment: A name beside it, such as ``staging``; one with ``prod`` in it stands out.
        links: Links from the page of a job to other programs: names to addresses, such as
            ``{"trace": "https://traces.example.com/{trace_id}"}``. An address may have ``{id}``, ``{name}``,
            ``{queue}``, ``{tenant}``, ``{worker}`` and ``{trace_id}``; where one of them isn't known, the link is left
            out.
        trusted_origins: As ``admin_api`` takes it.
        mounted_at: As ``admin_api`` takes it.

    Raises:
        ConfigurationError: An argument is wrong.

    Example:
        ```python
        web = FastAPI(lifespan=app.lifespan)
        web.mount("/admin/jobs", dashboard(app, authorize=who, title="shop", environment="production"))
        ```
    """
    pages = _Pages(
        app, authorize, trusted_origins, {"title": title, "environment": environment, "links": checked_links(links)}
    )
    web = Starlette(
        routes=[
            Endpoint("/static/{hash}/{file:path}", pages.static, methods=["GET"]),
            Endpoint("/settings", pages.choose, methods=["POST"]),
            *(Endpoint(form.path, partial(pages.send, form), methods=["POST"]) for form in FORMS),
            *(_StreamEndpoint(stream.path, partial(pages.follow, stream), methods=["GET"]) for stream in STREAMS),
            *(Endpoint(page.path, partial(pages.show, page), methods=["GET"]) for page in PAGES),
        ],
        middleware=mounting(mounted_at),
        exception_handlers={HTTPException: pages.no_route},
    )
    web.router.redirect_slashes = False
    return web


class _StreamEndpoint(Endpoint):
    """An endpoint for streams alone, so that it doesn't hide the page of a job whose id ends like its path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or not wants_stream(Request(scope)):
            return Match.NONE, {}
        return super().matches(scope)


class _Pages:
    """The endpoints.

    Args:
        app: The app.
        authorize: As of ``dashboard``.
        trusted_origins: As of ``dashboard``.
        names: What stands in the bar of each page.
    """

    def __init__(self, app: App, authorize: Authorize, trusted_origins: Collection[str], names: dict[str, Any]) -> None:
        self._app = app
        self._door = Door(authorize, trusted_origins, self._refuse, "dashboard")
        self._renderer = Renderer(names, [page.path for page in PAGES])
        self._sampler = Sampler()

    async def show(self, page: Page, request: Request) -> Response:
        """Show a page."""

        async def answer(access: Access) -> Response:
            # Who opens a page sees it as it is; the scripts of all who have it open share what one of them has read.
            max_age_s = SHARED_S if is_fragment(request) else 0.0
            try:
                # A form sends its empty fields too.
                query = read_query(page.query, fields_of(page.query, request.query_params.multi_items()))
                call = Call(self._app, access, request.path_params, query)
                with tenant_scope(None):
                    # At once, so that they share round trips.
                    sample, dead = await asyncio.gather(
                        self._sampler.read(_key(page, call), partial(page.load, call), max_age_s), self._dead(call)
                    )
            except Redirect as to:
                return self._go(request, to)
            except Attachment as file:
                return _attached(file)
            around = {"query": query, "access": access, "stale": sample.is_stale, "as_of": sample.at, **dead}
            headers = {"X-As-Of": sample.at.isoformat(), **({"X-Stale": "1"} if sample.is_stale else {})}
            return self._renderer.page(request, page.template, {**sample.found, **around}, headers=headers)

        return await self._door.through(request, page.needs, answer)

    async def send(self, form: Form, request: Request) -> Response:
        """Do what a button says."""

        async def answer(access: Access) -> Response:
            try:
                fields = read_query(form.fields, fields_of(form.fields, await _form(request)))
                with tenant_scope(None):
                    to = await form.send(Call(self._app, access, request.path_params, fields))
            finally:
                self._sampler.clear()
            _log.info("%r: POST %r", access.name, request.url.path)
            return self._go(request, to)

        return await self._door.through(request, form.needs, answer)

    async def follow(self, stream: Stream, request: Request) -> Response:
        """Send the script of a page what it follows."""

        async def answer(access: Access) -> Response:
            call = Call(self._app, access, request.path_params, read_query(stream.query, request.query_params))
            with tenant_scope(None):
                return await stream.open(call, request)

        return await self._door.through(request, stream.needs, answer)

    async def choose(self, request: Request) -> Response:
        """Remember what a viewer has chosen: theme, time zone, keys."""

        async def answer(access: Access) -> Response:
            given = dict(await _form(request))
            parts, query = place_of(given.pop("at", ""))
            reply = self._go(request, Redirect(*parts, **query))
            for name, value in given.items():
                cookie, kept = checked_choice(name, value)
                path = root_of(request) or "/"
                reply.set_cookie(cookie, kept, max_age=_A_YEAR_S, path=path, samesite="strict", httponly=True)
            return reply

        return await self._door.through(request, "look", answer)

    async def static(self, request: Request) -> Response:
        """Send a style or a script."""
        try:
            return self._renderer.file(request)
        except Problem as problem:
            return await self._refuse(request, problem)

    async def no_route(self, request: Request, error: Exception) -> Response:
        """Answer where there is no such page."""
        assert isinstance(error, HTTPException)
        problem = Problem(error.status_code, f"{request.url.path}: {error.detail}", headers=error.headers)

        async def answer(access: Access) -> Response:
            raise problem

        return await self._door.through(request, "look", answer)

    async def _dead(self, call: Call[msgspec.Struct]) -> Mapping[str, Any]:
        """Return how many jobs are dead that the caller may see, and whether one has died in the last hour.

        Nothing is returned where that can't be told.
        """
        if call.access.tenants is not None:
            return {}

        async def load() -> Mapping[str, Any]:
            stats, loads = await asyncio.gather(queues.stats(call.asking(InQueue())), loads_of(call, _GREW_S))
            grew = any(one.died_last_hour for one in loads.values())
            return {"dead": sum(one.failed for one in stats.queues), "dead_grew": grew}

        try:
            return (await self._sampler.read(("dead", _scope(call.access)), load, _DEAD_S)).found
        except AsyncJobsError:
            return {}

    async def _refuse(self, request: Request, problem: Problem, access: Access | None = None) -> Response:
        """Say why there is no page; with the bar of all pages for a caller whose ``access`` is known."""
        if 300 <= problem.status < 400:
            return Response(status_code=problem.status, headers={**HEADERS, **problem.headers})
        found = {"problem": problem, "access": access}
        # A broker that can't be used isn't asked again.
        if access is not None and problem.status < 500:
            with tenant_scope(None):
                found |= await self._dead(Call(self._app, access, request.path_params, InQueue()))
        return self._renderer.page(request, "problem.html", found, status=problem.status, headers=problem.headers)

    def _go(self, request: Request, to: Redirect) -> Response:
        address = url_of(root_of(request), *to.parts, **to.query)
        return RedirectResponse(address, status_code=303, headers=dict(HEADERS))


def _attached(file: Attachment) -> Response:
    """Return a file to be stored, whatever stands in it."""
    headers = {
        **HEADERS,
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return Response(file.data, media_type="text/plain; charset=utf-8", headers=headers)


def _key(page: Page, call: Call[msgspec.Struct]) -> tuple[object, ...]:
    """Return what a sample of a page is of, and for whom."""
    return page.path, tuple(call.path.items()), msgspec.json.encode(call.query), _scope(call.access)


def _scope(access: Access) -> tuple[object, ...]:
    """Return what of a caller decides what is seen."""
    narrowed = [None if one is None else tuple(one) for one in (access.queues, access.tenants)]
    return access.permissions, *narrowed


async def _form(request: Request) -> list[tuple[str, str]]:
    """Return the fields of a form.

    Raises:
        Problem: The form is too large, or of another type.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_FORM:
            raise Problem(413, f"a form of more than {_MAX_FORM:,} bytes")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=1_000)
    except ValueError as error:
        raise Problem(400, f"the form can't be read: {error}") from None
