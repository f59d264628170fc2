"""Tenants: which one a job is for, from the web request over the job to the schema that its handler works in."""

from asyncjobs import TenantContext, current_tenant, tenant_scope
from asyncjobs.ports import TenantResolver
from asyncjobs.tenancy.asgi import TenantMiddleware, TenantOf, from_header, from_subdomain
from asyncjobs.tenancy.middleware import Tenants
from asyncjobs.tenancy.resolvers import CachedTenants, StaticTenants

__all__ = [
    "CachedTenants",
    "StaticTenants",
    "TenantContext",
    "TenantMiddleware",
    "TenantOf",
    "TenantResolver",
    "Tenants",
    "current_tenant",
    "from_header",
    "from_subdomain",
    "tenant_scope",
]
