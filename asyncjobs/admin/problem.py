"""Errors as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.responses import Response

from asyncjobs.core.text import storable
from asyncjobs.errors import (
    AppNotOpen,
    ArgumentsError,
    BrokerRefused,
    BrokerUnavailable,
    TenantError,
    UnknownJob,
    UnknownSchedule,
)
from asyncjobs.jobs.ids import new_id

__all__ = ["Problem", "ProblemDetails", "json_response", "problem_of"]

_log = logging.getLogger("asyncjobs.admin")

_STATUS: Mapping[type[Exception], int] = {
    ArgumentsError: 400,
    UnknownJob: 404,
    UnknownSchedule: 404,
    TenantError: 404,
    AppNotOpen: 503,
    BrokerUnavailable: 503,
    BrokerRefused: 503,
}

#: Sent with each reply. Nothing here is a page, and what was read must not be kept by proxies.
_HEADERS = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


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


class Problem(Exception):
    """A request that can't be answered as asked; ``authorize=`` may raise it too.

    Args:
        status: The HTTP status, from 400 to 599.
        detail: What was given, what was expected, and what to do.
        headers: Further headers of the response.
    """

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}

    def response(self, incident: str = "") -> Response:
        """Return the response."""
        details = ProblemDetails(
            status=self.status, title=HTTPStatus(self.status).phrase, detail=storable(self.detail), incident=incident
        )
        return _response(details, self.status, "application/problem+json", self.headers)


def problem_of(error: Exception, what: str) -> Response:
    """Return the response for what an answer has raised; what is no user's error is logged.

    Args:
        error: The error.
        what: The method and the path of the request, for the log.
    """
    if isinstance(error, Problem):
        return error.response()
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            return Problem(status, str(error)).response()
    incident = new_id()
    _log.error("%r failed, incident %s", what, incident, exc_info=error)
    return Problem(500, "the request failed; the server's log tells more").response(incident)


def json_response(data: object, status: int = 200) -> Response:
    """Return ``data`` as JSON."""
    return _response(data, status, "application/json", {})


def _response(data: object, status: int, media_type: str, headers: Mapping[str, str]) -> Response:
    body = msgspec.json.encode(data)
    return Response(body, status_code=status, media_type=media_type, headers={**_HEADERS, **headers})
