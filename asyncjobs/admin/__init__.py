"""The admin API: an ASGI app to see and steer jobs over HTTP, for ``pip install 'asyncjobs[admin]'``."""

from asyncjobs.admin.access import ROLES, Access, Permission, Role
from asyncjobs.admin.api import Authorize, admin_api
from asyncjobs.admin.basic import basic_auth

__all__ = ["ROLES", "Access", "Authorize", "Permission", "Role", "admin_api", "basic_auth"]
