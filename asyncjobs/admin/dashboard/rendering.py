"""Makes pages of templates, with what stands around each of them, and sends styles and scripts."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any
from urllib.parse import quote

import jinja2
from starlette.requests import Request
from starlette.responses import Response

from asyncjobs.admin.csrf import SAFE_METHODS
from asyncjobs.admin.dashboard import shown
from asyncjobs.admin.dashboard.shell import choices_of, tabs_of, url_of
from asyncjobs.admin.problem import HEADERS, Problem

__all__ = ["Renderer", "is_fragment", "root_of"]

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


class Renderer:
    """Makes the responses of one dashboard.

    Args:
        names: What stands in the bar of each page.
        paths: The paths of the pages.
    """

    def __init__(self, names: Mapping[str, str], paths: Collection[str]) -> None:
        self._names = names
        self._tabs = tabs_of(paths)
        self._files = dict(_files(resources.files(__package__) / "static"))
        self._hash = hashlib.sha256(b"".join(self._files[name] for name in sorted(self._files))).hexdigest()[:12]
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader(__package__),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            finalize=shown.visible,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update({one.__name__: one for one in shown.FILTERS})

    def page(
        self,
        request: Request,
        template: str,
        found: Mapping[str, Any],
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Return a page, or what is new of it where a script asks.

        Args:
            request: The request.
            template: The file in ``templates/``.
            found: What the template takes.
            status: The HTTP status.
            headers: Further headers.
        """
        root, fragment, now = root_of(request), is_fragment(request), datetime.now(UTC)
        path = request.scope["path"].removeprefix(request.scope.get("root_path", "").rstrip("/"))
        # The way back to this page; a form has none, since a page at its address would be another one.
        is_page = request.method in SAFE_METHODS
        at = quote(path) + (f"?{request.url.query}" if request.url.query else "") if is_page else ""
        around = {
            "access": None,
            "stale": False,
            "as_of": now,
            "dead": None,
            "dead_grew": False,
            "choices": choices_of(request.cookies),
            "fragment": fragment,
            "now": now,
            "path": path,
            "at": at,
            "here": root + at,
            "static": lambda name: f"{root}/static/{self._hash}/{name}",
            "tabs": self._tabs,
            "url": partial(url_of, root),
        }
        text = self._templates.get_template(template).render({**self._names, **around, **found})
        sent = {**HEADERS, "Content-Security-Policy": _CSP, **(headers or {})}
        if fragment:
            tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:20]}"'
            sent["ETag"] = tag
            if request.headers.get("if-none-match") == tag:
                return Response(status_code=304, headers=sent)
        return Response(text, status_code=status, media_type="text/html; charset=utf-8", headers=sent)

    def file(self, request: Request) -> Response:
        """Return a style, a script or a picture.

        Raises:
            Problem: There is no such file.
        """
        name = request.path_params["file"]
        if name not in self._files:
            raise Problem(404, f"there is no file {name!r}")
        is_current = request.path_params["hash"] == self._hash
        kept = "public, max-age=31536000, immutable" if is_current else "no-store"
        headers = {**HEADERS, "Cache-Control": kept}
        return Response(self._files[name], media_type=_TYPES[name.rpartition(".")[2]], headers=headers)


def is_fragment(request: Request) -> bool:
    """Return whether the script of a page asks for what is new of it."""
    return "x-fragment" in request.headers


def root_of(request: Request) -> str:
    """Return the path under which the dashboard is mounted, percent-encoded, without a slash at its end."""
    root: str = request.scope.get("root_path", "")
    return quote(root.rstrip("/"))


def _files(folder: Traversable, before: str = "") -> Iterator[tuple[str, bytes]]:
    for one in folder.iterdir():
        if one.is_dir():
            yield from _files(one, f"{before}{one.name}/")
        elif one.name.rpartition(".")[2] in _TYPES:
            yield before + one.name, one.read_bytes()
