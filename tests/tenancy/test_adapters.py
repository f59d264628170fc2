"""Connections in the schema of the tenant: for as long as they are lent, and not a moment longer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asyncjobs import ConfigurationError, TenantContext, TenantError, TenantSuspended, UnknownTenant, tenant_scope
from tests import postgres
from tests.tenancy.databases import INSERT, Adapter, Admin, lent_in_one, scope_of
from tests.tenancy.test_schema_names import HOSTILE
from tests.waiting import until

pytestmark = pytest.mark.anyio

PATH = "SHOW search_path"
SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'"


async def test_what_is_written_lands_in_the_schema_of_the_tenant_and_without_one_in_public(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")
    admin.add_schema("two")
    async with adapter.open(pg_url, 1) as pool:
        for tenant in ("one", "two", None, "one"):
            with scope_of(tenant) if tenant else tenant_scope(None):
                async with adapter.connect(pool, mode=mode) as db:
                    await adapter.run(db, INSERT, job="1", tenant=str(tenant))

    assert admin.notes("one") == [("1", "one"), ("1", "one")]
    assert admin.notes("two") == [("1", "two")]
    assert admin.notes("public") == [("1", "None")]
    assert adapter.foreign == []


async def test_what_fails_is_rolled_back_and_leaves_the_connection_as_it_was(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")

    async def write(pool: Any, *statements: str) -> None:
        async with adapter.connect(pool, mode=mode) as db:
            await adapter.run(db, INSERT, job="1", tenant="one")
            for statement in statements:
                await adapter.run(db, statement)
            raise ValueError("by hand")

    async with adapter.open(pg_url, 1) as pool:
        pid = (await _pids(adapter, pool))[0]
        with scope_of("one"):
            with pytest.raises(ValueError, match="by hand"):
                await write(pool)
            with pytest.raises(Exception, match="division by zero"):
                await write(pool, "SELECT 1/0")

        assert admin.notes("one") == []
        assert await _pids(adapter, pool) == [pid]
    assert adapter.foreign == []


async def test_cancelled_in_the_middle_of_a_statement_the_connection_comes_back_clean_or_not_at_all(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")

    async def write(pool: Any) -> None:
        async with adapter.connect(pool, mode=mode) as db:
            await adapter.run(db, INSERT, job="1", tenant="one")
            await adapter.run(db, "SELECT pg_sleep(60)")

    async with adapter.open(pg_url, 1) as pool:
        for _ in range(3):
            with scope_of("one"):
                task = asyncio.create_task(write(pool))
            await until(lambda: admin.run(SLEEPING) != [(0,)], "the server runs the statement")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with adapter.connect(pool) as db:
                assert await adapter.run(db, PATH) == [('"$user", public',)]

    assert admin.notes("one") == []
    assert adapter.foreign == []


async def test_cancelled_between_statements_the_connection_is_kept(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")

    async def write(pool: Any) -> None:
        async with adapter.connect(pool, mode=mode) as db:
            await adapter.run(db, INSERT, job="1", tenant="one")
            written.set()
            await asyncio.Event().wait()

    async with adapter.open(pg_url, 1) as pool:
        pids = await _pids(adapter, pool)
        with scope_of("one"):
            written = asyncio.Event()
            task = asyncio.create_task(write(pool))
            await written.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await _pids(adapter, pool) == pids

    assert admin.notes("one") == []
    assert adapter.foreign == []


@pytest.mark.skipif(postgres.PGBOUNCER is None, reason="no pgbouncer on the PATH")
async def test_a_schema_for_the_session_is_refused_behind_a_proxy_that_pools_transactions(
    adapter: Adapter, admin: Admin, pg_lane: postgres.Postgres
) -> None:
    admin.add_schema("one")
    with postgres.pgbouncer(pg_lane, connections=1) as url:
        async with adapter.open(url, 1) as pool:
            with scope_of("one"), pytest.raises(ConfigurationError, match="leads to a proxy"):
                async with adapter.connect(pool, mode="session") as db:
                    await adapter.run(db, INSERT, job="1", tenant="one")
            async with adapter.connect(pool, mode="transaction") as db:
                assert await adapter.run(db, PATH) == [('"$user", public',)]

    assert admin.notes("one") == []


async def test_a_block_may_have_several_transactions_all_in_its_schema(
    adapter: Adapter, admin: Admin, pg_url: str
) -> None:
    admin.add_schema("one")
    async with lent_in_one(adapter, pg_url, mode="session") as db:
        await adapter.run(db, INSERT, job="kept", tenant="one")
        await db.commit()
        await adapter.run(db, INSERT, job="dropped", tenant="one")
        await db.rollback()
        await adapter.run(db, INSERT, job="kept too", tenant="one")

    assert admin.notes("one") == [("kept", "one"), ("kept too", "one")]
    assert admin.notes("public") == []
    assert adapter.foreign == []


@pytest.mark.parametrize("statement", ["SET search_path TO two", "SET LOCAL search_path TO two", "RESET ALL"])
async def test_a_handler_that_changes_the_path_itself_fails_and_changes_it_for_nobody_else(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any, statement: str
) -> None:
    admin.add_schema("one")
    admin.add_schema("two")

    async def write(pool: Any) -> None:
        async with adapter.connect(pool, mode=mode) as db:
            await adapter.run(db, statement)
            await adapter.run(db, INSERT, job="1", tenant="one")

    async with adapter.open(pg_url, 1) as pool:
        with scope_of("one"), pytest.raises(TenantError, match="no longer as it was set"):
            await write(pool)
        async with adapter.connect(pool) as db:
            await adapter.run(db, INSERT, job="1", tenant="nobody")

    assert admin.notes("public") == [("1", "nobody")]
    assert admin.notes("two") == []
    assert adapter.foreign == []


async def test_a_temporary_table_of_one_tenant_is_not_there_for_the_next(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")
    admin.add_schema("two")
    async with adapter.open(pg_url, 1) as pool:
        with scope_of("one"):
            async with adapter.connect(pool, mode=mode) as db:
                await adapter.run(db, "CREATE TEMPORARY TABLE drafts AS SELECT 'secret' AS text")
        with scope_of("two"):
            async with adapter.connect(pool, mode=mode) as db:
                assert await adapter.run(db, "SELECT to_regclass('drafts')") == [(None,)]


async def test_a_temporary_table_of_a_tenant_hides_none_of_public_from_a_job_without_one(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")
    async with adapter.open(pg_url, 1) as pool:
        pids = await _pids(adapter, pool)
        with scope_of("one"):
            async with adapter.connect(pool, mode=mode) as db:
                await adapter.run(db, "CREATE TEMPORARY TABLE notes AS SELECT 'secret' AS job, 'one' AS tenant")
        for job in ("1", "2"):
            async with adapter.connect(pool) as db:
                assert await adapter.run(db, "SELECT job FROM notes WHERE tenant = 'one'") == []
                await adapter.run(db, INSERT, job=job, tenant="nobody")
                await db.rollback() if job == "1" else await db.commit()
        assert await _pids(adapter, pool) == pids

    assert admin.notes("public") == [("2", "nobody")]


async def test_a_temporary_table_named_like_the_list_of_schemas_is_not_taken_for_it(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")
    async with adapter.open(pg_url, 1) as pool:
        async with adapter.connect(pool) as db:
            await adapter.run(db, "CREATE TEMPORARY TABLE pg_namespace AS SELECT 2200 AS oid, 'gone' AS nspname")
        with scope_of("gone"), pytest.raises(UnknownTenant):
            async with adapter.connect(pool, mode=mode) as db:
                await adapter.run(db, "SELECT 1")
        with scope_of("one"):
            async with adapter.connect(pool, mode=mode) as db:
                await adapter.run(db, INSERT, job="1", tenant="one")


async def test_an_odd_schema_name_is_a_name_and_nothing_else(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    async def write(pool: Any, name: str) -> None:
        with scope_of(name, "odd"):
            async with adapter.connect(pool, mode=mode) as db:
                await adapter.run(db, INSERT, job="1", tenant=name)

    async with adapter.open(pg_url, 1) as pool:
        for name in HOSTILE:
            with pytest.raises(UnknownTenant, match="is not in the database"):
                await write(pool, name)
            admin.add_schema(name)
            await write(pool, name)
            assert admin.notes(name) == [("1", name)]

    assert admin.notes("public") == []
    assert adapter.foreign == []


async def test_a_schema_that_is_gone_or_not_ours_is_an_error_and_costs_no_connection(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("closed")
    admin.run("CREATE ROLE small LOGIN" if not _has_role(admin) else "SELECT")
    async with adapter.open(pg_url.replace("postgres@", "small@"), 1) as pool:
        pid = (await _pids(adapter, pool))[0]
        with scope_of("gone"), pytest.raises(UnknownTenant, match="'gone' of the tenant 'gone' is not in the database"):
            async with adapter.connect(pool, mode=mode) as db:
                await adapter.run(db, "SELECT 1")
        with scope_of("closed"), pytest.raises(TenantError, match="grant it USAGE"):
            async with adapter.connect(pool, mode=mode) as db:
                await adapter.run(db, "SELECT 1")
        assert await _pids(adapter, pool) == [pid]
    assert adapter.foreign == []


async def test_a_tenant_whom_nobody_has_resolved_gets_no_connection_and_required_means_it(
    adapter: Adapter, pg_url: str
) -> None:
    async with adapter.open(pg_url, 1) as pool:
        with tenant_scope("acme"), pytest.raises(TenantError, match="nobody has resolved it"):
            async with adapter.connect(pool):
                pass
        with pytest.raises(TenantError, match="there is none"):
            async with adapter.connect(pool, required=True):
                pass


async def test_shared_schemas_stand_behind_the_tenants_own_and_public_only_if_named(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.run("CREATE SCHEMA one")
    admin.run("CREATE SCHEMA ext")
    admin.run("CREATE TABLE ext.currencies AS SELECT 'EUR' AS code")
    async with adapter.open(pg_url, 1) as pool:
        with scope_of("one"):
            async with adapter.connect(pool, mode=mode, shared=["ext"]) as db:
                assert await adapter.run(db, "SELECT code FROM currencies") == [("EUR",)]
                assert await adapter.run(db, "SELECT to_regclass('notes')") == [(None,)]
            async with adapter.connect(pool, mode=mode, shared=["public"]) as db:
                assert await adapter.run(db, "SELECT to_regclass('notes')::text") == [("notes",)]


async def test_a_connection_that_dies_while_it_is_lent_is_replaced(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")
    pids: list[int] = []

    async def write(pool: Any) -> None:
        async with adapter.connect(pool, mode=mode) as db:
            [(pid,)] = await adapter.run(db, "SELECT pg_backend_pid()")
            pids.append(pid)
            admin.run("SELECT pg_terminate_backend(%s)", pid)
            await adapter.run(db, "SELECT 1")

    async with adapter.open(pg_url, 1) as pool:
        with scope_of("one"), pytest.raises(Exception, match=r"terminat|clos|connection"):
            await write(pool)
        assert await _pids(adapter, pool) != pids
    assert adapter.foreign == []


async def test_wrong_options_are_named_where_they_are_given(adapter: Adapter, pg_url: str) -> None:
    async with adapter.open(pg_url, 1) as pool:
        with pytest.raises(ConfigurationError, match="mode='both': expected 'transaction' or 'session'"):
            adapter.provider(pool, mode="both")
        with pytest.raises(ConfigurationError, match="shared='public': expected a list"):
            adapter.provider(pool, shared="public")


async def test_a_query_that_is_not_asked_for_the_id_is_an_error_of_the_program(adapter: Adapter, pg_url: str) -> None:
    async with adapter.open(pg_url, 1) as pool:
        with pytest.raises(ConfigurationError, match="for the id: SELECT 1"):
            adapter.resolver(pool, "SELECT 1 AS schema")


async def test_tenants_are_found_by_a_query(adapter: Adapter, admin: Admin, pg_url: str) -> None:
    admin.run("CREATE TABLE public.tenants (id text, slug text, schema_name text, paid bool)")
    admin.run("INSERT INTO public.tenants VALUES ('7', 'acme', 'tenant_7', true), ('8', null, 'tenant_8', false)")
    admin.run("INSERT INTO public.tenants VALUES ('9', null, 'tenant_9', true), ('9', null, 'tenant_10', true)")
    admin.run("INSERT INTO public.tenants VALUES ('10', null, 'public', true), ('11', null, null, true)")
    query = "SELECT slug, schema_name AS schema, NOT paid AS suspended FROM public.tenants WHERE id = :tenant_id"
    async with adapter.open(pg_url, 1) as pool:
        resolver = adapter.resolver(pool, query)
        assert await resolver.resolve("7") == TenantContext("7", "acme", "tenant_7")
        with pytest.raises(TenantSuspended):
            await resolver.resolve("8")
        with pytest.raises(UnknownTenant):
            await resolver.resolve("' OR true --")
        with pytest.raises(ConfigurationError, match="2 rows"):
            await resolver.resolve("9")
        with pytest.raises(TenantError, match="'10' can't be served: the schema 'public' can't be a tenant's"):
            await resolver.resolve("10")
        with pytest.raises(TenantError, match="'11' can't be served: the schema None"):
            await resolver.resolve("11")


def _has_role(admin: Admin) -> bool:
    return bool(admin.run("SELECT 1 FROM pg_roles WHERE rolname = 'small'"))


async def _pids(adapter: Adapter, pool: Any) -> list[int]:
    """Return the server's process of the one connection of the pool."""
    async with adapter.connect(pool) as db:
        return [pid for (pid,) in await adapter.run(db, "SELECT pg_backend_pid()")]
