"""Jobs that run in processes; at the top of a module, from which a process can import them."""

from __future__ import annotations

from asyncjobs import current_tenant, job

__all__ = ["schema"]


@job(name="tenant_schema", executor="process", queue="cpu")
def schema() -> str | None:
    """Tell the schema of the tenant that the process runs for."""
    tenant = current_tenant()
    return None if tenant is None else tenant.tenant_schema
