"""The ASGI app of the dashboard."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import jinja2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route as Endpoint

from asyncjobs.admin.access import Access
from asyncjobs.admin.api.route import Call, read_query
from asyncjobs.admin.dashboard import shown
from asyncjobs.admin.dashboard.forms import FORMS
from asyncjobs.admin.dashboard.page import Form, Page, Redirect
from asyncjobs.admin.dashboard.pages import PAGES
from asyncjobs.admin.door import Authorize, Door
from asyncjobs.admin.problem import HEADERS, Problem
from asyncjobs.app import App
from asyncjobs.jobs.tenant_scope import tenant_scope

__all__ = ["dashboard"]

_log = logging.getLogger("asyncjobs.admin")

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_MAX_FORM = 64 * 1024
_THEME = "asyncjobs_theme"
_THEMES = ("auto", "light", "dark")
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


def dashboard(
    app: App,
    *,
    authorize: Authorize,
    title: str = "asyncjobs",
    environment: str = "",
    trusted_origins: Collection[str] = (),
) -> Starlette:
    """Return an ASGI app with pages to see and steer the jobs of ``app``.

    The program that mounts it keeps ``app`` open, as by ``lifespan=app.lifespan``. The pages work under any path, also
    without JavaScript, and load nothing from elsewhere.

    Args:
        app: The app.
        authorize: As ``admin_api`` takes it. For a person it may raise an ``HTTPException`` that leads to a login.
        title: The name in the bar of each page, such as that of the program.
        environment: A name beside it, such as ``production``.
        trusted_origins: As ``admin_api`` takes it.

    Raises:
        ConfigurationError: An argument is wrong.

    Example:
        ```python
        web = FastAPI(lifespan=app.lifespan)
        web.mount("/admin/jobs", dashboard(app, authorize=who, title="shop", environment="production"))
        ```
    """
    pages = _Pages(app, authorize, trusted_origins, {"title": title, "environment": environment})
    web = Starlette(
        routes=[
            Endpoint("/static/{hash}/{file}", pages.static, methods=["GET"]),
            Endpoint("/theme", pages.theme, methods=["POST"]),
            *(Endpoint(form.path, partial(pages.send, form), methods=["POST"]) for form in FORMS),
            *(Endpoint(page.path, partial(pages.show, page), methods=["GET"]) for page in PAGES),
        ],
        exception_handlers={HTTPException: pages.no_route},
    )
    web.router.redirect_slashes = False
    return web


class _Pages:
    """The endpoints.

    Args:
        app: The app.
        authorize: As of ``dashboard``.
        trusted_origins: As of ``dashboard``.
        names: What stands in the bar of each page.
    """

    def __init__(self, app: App, authorize: Authorize, trusted_origins: Collection[str], names: dict[str, str]) -> None:
        self._app = app
        self._names = names
        self._door = Door(authorize, trusted_origins, self._refuse)
        folder = resources.files(__package__) / "static"
        self._files = {one.name: one.read_bytes() for one in folder.iterdir() if one.name.rpartition(".")[2] in _TYPES}
        self._hash = hashlib.sha256(b"".join(self._files[name] for name in sorted(self._files))).hexdigest()[:12]
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader(__package__),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            finalize=shown.visible,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        for one in (shown.number, shown.duration, shown.when, shown.ago, shown.as_json):
            self._templates.filters[one.__name__] = one

    async def show(self, page: Page, request: Request) -> Response:
        """Show a page."""

        async def answer(access: Access) -> Response:
            # A form sends its empty fields too.
            query = read_query(page.query, {name: text for name, text in request.query_params.items() if text})
            try:
                with tenant_scope(None):
                    found = await page.load(Call(self._app, access, request.path_params, query))
            except Redirect as to:
                return self._go(request, to)
            return self._render(request, page.template, {**found, "query": query, "access": access})

        return await self._door.through(request, page.needs, answer)

    async def send(self, form: Form, request: Request) -> Response:
        """Do what a button says."""

        async def answer(access: Access) -> Response:
            fields = read_query(form.fields, {name: text for name, text in await _form(request) if text})
            with tenant_scope(None):
                to = await form.send(Call(self._app, access, request.path_params, fields))
            _log.info("%r: POST %r", access.name, request.url.path)
            return self._go(request, to)

        return await self._door.through(request, form.needs, answer)

    async def theme(self, request: Request) -> Response:
        """Remember light or dark."""

        async def answer(access: Access) -> Response:
            wanted = dict(await _form(request)).get("theme")
            if wanted not in _THEMES:
                raise Problem(400, f"theme={wanted!r}: expected one of {', '.join(_THEMES)}")
            reply, path = self._go(request, Redirect()), _root(request) or "/"
            reply.set_cookie(_THEME, wanted, max_age=31_536_000, path=path, samesite="strict", httponly=True)
            return reply

        return await self._door.through(request, "look", answer)

    async def static(self, request: Request) -> Response:
        """Send a style or a script."""
        name = request.path_params["file"]
        if name not in self._files:
            return self._refuse(request, Problem(404, f"there is no file {name!r}"))
        is_current = request.path_params["hash"] == self._hash
        kept = "public, max-age=31536000, immutable" if is_current else "no-store"
        headers = {**HEADERS, "Cache-Control": kept}
        return Response(self._files[name], media_type=_TYPES[name.rpartition(".")[2]], headers=headers)

    async def no_route(self, request: Request, error: Exception) -> Response:
        """Answer where there is no such page."""
        assert isinstance(error, HTTPException)
        return self._refuse(request, Problem(error.status_code, f"{request.url.path}: {error.detail}"))

    def _refuse(self, request: Request, problem: Problem) -> Response:
        if 300 <= problem.status < 400:
            return Response(status_code=problem.status, headers={**HEADERS, **problem.headers})
        return self._render(
            request, "problem.html", {"problem": problem, "access": None}, problem.status, problem.headers
        )

    def _render(
        self, request: Request, template: str, found: dict[str, Any], status: int = 200, headers: Any = None
    ) -> Response:
        root = _root(request)
        theme = request.cookies.get(_THEME, "auto")
        text = self._templates.get_template(template).render(
            **self._names,
            **found,
            now=datetime.now(UTC),
            path=request.url.path.removeprefix(root),
            theme=theme if theme in _THEMES else "auto",
            url=partial(_url, root),
            static=lambda name: f"{root}/static/{self._hash}/{name}",
        )
        sent = {**HEADERS, "Content-Security-Policy": _CSP, **(headers or {})}
        return Response(text, status_code=status, media_type="text/html; charset=utf-8", headers=sent)

    def _go(self, request: Request, to: Redirect) -> Response:
        return RedirectResponse(_url(_root(request), *to.parts, **to.query), status_code=303, headers=dict(HEADERS))


def _root(request: Request) -> str:
    """Return the path under which the dashboard is mounted, without a slash at its end."""
    root: str = request.scope.get("root_path", "")
    return quote(root.rstrip("/"))


def _url(root: str, *parts: str, **query: object) -> str:
    """Return the address of a page: the one function that makes links."""
    path = "/".join(quote(part, safe="") for part in parts)
    asked = urlencode({name: value for name, value in query.items() if value not in (None, "")})
    return f"{root}/{path}" + (f"?{asked}" if asked else "")


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
