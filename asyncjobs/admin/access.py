"""What one caller of the admin API may see and do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, get_args

from asyncjobs.core.bounds import shown
from asyncjobs.core.options import checked_queue, checked_tenant
from asyncjobs.errors import ConfigurationError

__all__ = ["ROLES", "Access", "Permission", "Role"]

Permission = Literal["look", "values", "retry", "cancel", "edit", "pause", "schedule", "delete"]
"""What a route may need. ``values`` lets a caller see arguments and metadata; ``look`` all the rest. ``edit`` is to
give a job another priority or time, or other arguments in a new job."""

Role = Literal["viewer", "operator", "admin"]
"""A set of permissions with a name."""

ROLES: Mapping[Role, frozenset[Permission]] = {
    "viewer": frozenset({"look"}),
    "operator": frozenset({"look", "values", "retry", "cancel", "edit", "pause", "schedule"}),
    "admin": frozenset(get_args(Permission)),
}
"""The permissions of each role."""


class Access:
    """What one caller may see and do.

    Args:
        name: Who it is, for the log.
        role: ``viewer``, ``operator`` or ``admin``; see ``ROLES``.
        queues: The only queues that the caller may see and change; by default all.
        tenants: The only tenants whose jobs the caller may see and change; by default all, and jobs without a tenant.
            With tenants, the figures of whole queues are not the caller's to see.

    Raises:
        ConfigurationError: There is no such role.
        ArgumentsError: A queue or a tenant can't have this name.

    Example:
        ``Access("ada@example.com", "operator", queues=["payments"])``
    """

    __slots__ = ("name", "permissions", "queues", "tenants")

    name: str
    """Who it is."""
    permissions: frozenset[Permission]
    """What the caller may do."""
    queues: list[str] | None
    """The only queues of the caller, ``None`` for all."""
    tenants: list[str] | None
    """The only tenants of the caller, ``None`` for all."""

    def __init__(
        self,
        name: str,
        role: Role = "viewer",
        *,
        queues: Collection[str] | None = None,
        tenants: Collection[str] | None = None,
    ) -> None:
        if role not in ROLES:
            raise ConfigurationError(f"role={shown(role)}: expected one of {', '.join(ROLES)}")
        for option, given in (("queues", queues), ("tenants", tenants)):
            if isinstance(given, str):
                raise ConfigurationError(f"{option}={shown(given)}: expected several, as in [{shown(given)}]")
        self.name = name
        self.permissions = ROLES[role]
        self.queues = None if queues is None else sorted({checked_queue(one) for one in queues})
        self.tenants = None if tenants is None else sorted({checked_tenant(one) for one in tenants})

    def sees_queue(self, queue: str) -> bool:
        """Return whether ``queue`` is one of the caller's.

        Args:
            queue: The queue.
        """
        return self.queues is None or queue in self.queues

    def sees(self, queue: str, tenant: str | None) -> bool:
        """Return whether a job or a schedule is the caller's to see.

        Args:
            queue: Its queue.
            tenant: Its tenant, ``None`` if it has none.
        """
        return self.sees_queue(queue) and (self.tenants is None or tenant in self.tenants)
