"""The jobs: ``DATABASE_URL=postgresql://… ASYNCJOBS_URL=redis://… asyncjobs worker jobs:app`` in this folder.

No job is told its tenant: it gets a connection in the schema of whom it was sent for, and so does what it sends.
"""

from __future__ import annotations

import os

from psycopg import AsyncConnection

from asyncjobs import App, Inject, RetryPolicy, current_job
from asyncjobs.tenancy import CachedTenants, Tenants
from asyncjobs.tenancy.psycopg import SqlTenants, connection
from database import pool

# Asked once a minute for each tenant, by a connection of its own.
tenants = CachedTenants(
    SqlTenants(
        os.environ["DATABASE_URL"],
        "SELECT schema_name AS schema, suspended FROM public.tenants WHERE id = %s",
    )
)

app = App(os.environ.get("ASYNCJOBS_URL", "memory://"), middleware=[Tenants(tenants)], retry=RetryPolicy(max_retries=0))

# `required`: a job that was sent for nobody fails, instead of writing into public.
in_schema = connection(pool, required=True)  # the job is one transaction
in_schema_stepwise = connection(pool, required=True, mode="session")  # the job may commit on its way


@app.job(queue="invoices")
async def write_invoice(customer: str, cents: int, db: AsyncConnection = Inject(in_schema_stepwise)) -> None:
    invoice = current_job().id  # the same in every attempt, so that it is written once
    await db.execute(
        "INSERT INTO invoices VALUES (%s, %s, %s) ON CONFLICT (id) DO NOTHING",
        (invoice, customer, cents),
    )
    # Before the next job is sent, or that might look for an invoice that isn't there yet.
    await db.commit()
    await mail_invoice.delay(invoice)


@app.job(queue="mails")
async def mail_invoice(invoice: str, db: AsyncConnection = Inject(in_schema)) -> None:
    await db.execute(
        "INSERT INTO mails SELECT id, customer FROM invoices WHERE id = %s ON CONFLICT (invoice) DO NOTHING",
        (invoice,),
    )
