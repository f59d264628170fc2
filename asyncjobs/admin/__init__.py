"""To see and steer jobs in a browser and over HTTP: ASGI apps, for ``pip install 'asyncjobs-redis[admin]'``."""

from asyncjobs.core.package import install_command
from asyncjobs.errors import ConfigurationError

try:
    import jinja2 as _jinja2  # noqa: F401
    import starlette as _starlette  # noqa: F401
except ImportError as error:
    raise ConfigurationError(
        f"asyncjobs.admin needs Starlette and Jinja2, of which one is not installed: {install_command('admin')}; "
        f"for the command that serves the dashboard by itself, {install_command('dashboard')}"
    ) from error

from asyncjobs.admin.access import ROLES, Access, Permission, Role
from asyncjobs.admin.api.app import admin_api
from asyncjobs.admin.basic import basic_auth
from asyncjobs.admin.dashboard.app import dashboard
from asyncjobs.admin.door import Authorize

__all__ = ["ROLES", "Access", "Authorize", "Permission", "Role", "admin_api", "basic_auth", "dashboard"]
