"""What stands before each route: who calls, from where, and whether they may."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from asyncjobs.admin.access import Access, Permission
from asyncjobs.admin.csrf import cross_site
from asyncjobs.admin.problem import Problem, problem_of
from asyncjobs.app.acting import acting
from asyncjobs.core.bounds import shown
from asyncjobs.errors import ConfigurationError

__all__ = ["Authorize", "Door", "Refuse", "require"]

Authorize = Callable[[Request], Access | Awaitable[Access | None] | None]
"""Says what the caller of a request may see and do; ``None`` if it is nobody known. It may be async."""

Refuse = Callable[[Request, Problem, Access | None], Awaitable[Response]]
"""Makes the response for a problem; the ``Access`` is that of the caller, ``None`` as long as it isn't known."""


def require(access: Access, needs: Permission) -> None:
    """Refuse a caller without the permission ``needs``.

    Raises:
        Problem: The caller hasn't got it.
    """
    if needs not in access.permissions:
        raise Problem(403, f"{access.name} may {', '.join(sorted(access.permissions))}; this needs {needs!r}")


class Door:
    """Lets requests in.

    Args:
        authorize: Says what the caller of a request may see and do.
        trusted_origins: Origins whose pages may change something by a request.
        refuse: Makes the response for a problem.
        via: From where what a caller does comes, for the audit.

    Raises:
        ConfigurationError: An argument is wrong.
    """

    def __init__(
        self,
        authorize: Authorize,
        trusted_origins: Collection[str],
        refuse: Refuse,
        via: str,
    ) -> None:
        if not callable(authorize):
            raise ConfigurationError(f"authorize={shown(authorize)}: expected a function that takes a request")
        if isinstance(trusted_origins, str):
            raise ConfigurationError(f"trusted_origins={shown(trusted_origins)}: expected several, as in a list")
        self._authorize = authorize
        self._trusted_origins = trusted_origins
        self._refuse = refuse
        self._via = via

    async def through(
        self, request: Request, needs: Permission, answer: Callable[[Access], Awaitable[Response]]
    ) -> Response:
        """Answer a request of a caller who has the permission ``needs``; else say why not."""
        access: Access | None = None
        try:
            if why := cross_site(request.method, request.headers, self._trusted_origins):
                raise Problem(403, why)
            access = await self._access(request)
            require(access, needs)
            with acting(access.name, self._via):
                return await answer(access)
        except HTTPException as error:
            problem = Problem(error.status_code, str(error.detail), headers=error.headers)
        except Exception as error:
            problem = problem_of(error, f"{request.method} {request.url.path}")
        return await self._refuse(request, problem, access)

    async def _access(self, request: Request) -> Access:
        access = self._authorize(request)
        if inspect.isawaitable(access):
            access = await access
        if access is None:
            raise Problem(401, "authorize= knows no such caller")
        if not isinstance(access, Access):
            raise ConfigurationError(f"authorize= returned {shown(access)}: expected an Access, or None")
        return access
