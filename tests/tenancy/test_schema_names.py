"""Which names can be the schema of a tenant: whatever can't is refused, whatever can is quoted by the driver."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs import TenantContext, TenantError
from asyncjobs.core.tenancy import checked_schema

#: Names that a database would cut, take for something else, or that are not a tenant's own.
REFUSED = [
    "public",
    "PUBLIC",
    "Public",
    "pg_catalog",
    "pg_toast",
    "pg_temp",
    "pg_temp_3",
    "PG_CATALOG",
    "information_schema",
    "$user",
    "a" * 64,
    "é" * 32,
    "😀" * 16,
    "nul\0",
    "\ud800",
]

#: Names that are allowed, and do harm where anybody forgets to quote them.
HOSTILE = [
    'x"; DROP SCHEMA public CASCADE; --',
    "x'; DROP SCHEMA public CASCADE; --",
    '"',
    '""',
    "'",
    "a, public",
    'a", public, "b',
    "a.b",
    "; SELECT pg_sleep(10)",
    "%s %(tenant_id)s :path",
    "$1",
    "\\",
    "$$",
    " ",
    " leading",
    "new\nline",
    "tab\t",
    "/* */",
    "ÜBER",
    "租户",
    "😀" * 15,
    "a" * 63,
    "CamelCase",
    "select",
    "default",
    "\u202egnirts",
    "\u200b",
]


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_is_not_a_tenants_own_is_refused(name: str) -> None:
    with pytest.raises(TenantError, match="can't be a tenant's"):
        checked_schema(name)
    with pytest.raises(TenantError, match="can't be a tenant's"):
        TenantContext("acme", "acme", name)


@pytest.mark.parametrize("wrong", [None, 7, b"acme", ""])
def test_what_is_no_name_is_refused(wrong: Any) -> None:
    with pytest.raises(TenantError, match="expected a name"):
        checked_schema(wrong)


@pytest.mark.parametrize("name", HOSTILE)
def test_an_odd_name_is_allowed_as_it_is(name: str) -> None:
    assert checked_schema(name) == name


@given(st.text())
def test_any_other_text_is_a_name_or_refused_with_the_reason(name: str) -> None:
    try:
        assert checked_schema(name) == name
    except TenantError:
        return
    assert 0 < len(name.encode()) < 64
