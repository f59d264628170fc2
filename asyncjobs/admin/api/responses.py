"""Replies as JSON, and problems as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from asyncjobs.admin.problem import HEADERS, Problem
from asyncjobs.core.text import storable

__all__ = ["ProblemDetails", "json_response", "problem_response"]

_NO_PAGE = {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}


class ProblemDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong."""

    status: int
    """The HTTP status."""
    title: str
    """The status in words."""
    detail: str
    """What was given, what was expected, and what to do."""
    incident: str = ""
    """Where the server has failed: the id under which its log tells more."""


def json_response(data: object) -> Response:
    """Return ``data`` as JSON."""
    return _response(data, 200, "application/json", {})


def problem_response(request: Request, problem: Problem) -> Response:
    """Return what went wrong with ``request``."""
    details = ProblemDetails(
        status=problem.status,
        title=HTTPStatus(problem.status).phrase,
        detail=storable(problem.detail),
        incident=problem.incident,
    )
    return _response(details, problem.status, "application/problem+json", problem.headers)


def _response(data: object, status: int, media_type: str, headers: Mapping[str, str]) -> Response:
    body = msgspec.json.encode(data)
    return Response(body, status_code=status, media_type=media_type, headers={**HEADERS, **_NO_PAGE, **headers})
