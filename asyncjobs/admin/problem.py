"""What can go wrong with a request, and the status that says so."""

from __future__ import annotations

import logging
from collections.abc import Mapping

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

__all__ = ["HEADERS", "Problem", "problem_of"]

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

HEADERS: Mapping[str, str] = {
    "Cache-Control": "private, no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Sent with each response: what was read must not be kept by proxies, nor taken for something else."""


class Problem(Exception):
    """A request that can't be answered as asked.

    Args:
        status: The HTTP status, from 400 to 599.
        detail: What was given, what was expected, and what to do.
        headers: Further headers of the response.
        incident: Where the server has failed, the id under which its log tells more.
    """

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, incident: str = ""
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.incident = incident


def problem_of(error: Exception, what: str) -> Problem:
    """Return the problem for what an answer has raised; what is no user's error is logged.

    Args:
        error: The error.
        what: The method and the path of the request, for the log.
    """
    if isinstance(error, Problem):
        return error
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            return Problem(status, str(error))
    incident = new_id()
    _log.error("%r failed, incident %s", what, incident, exc_info=error)
    return Problem(500, "the request failed; the server's log tells more", incident=incident)
