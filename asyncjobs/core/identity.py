"""Job ids: 128 bits, sortable by time, 26 characters.

The layout is the ULID's (48 bits of milliseconds, then 80 of chance, in Crockford's base 32): it sorts as text in the
order of creation, and costs Redis 6 bytes less than 32 hexadecimal digits in each of the four places an id stands in.

The ids of a tenant's jobs and schedules, new ones and those that a user chooses, are kept as ``@<tenant>:<id>``, with
the tenant percent-encoded. No other id begins with ``@``. So the first colon ends the tenant, and no two pairs of a
tenant and an id are written alike.
"""

from __future__ import annotations

import functools
from urllib.parse import quote

from asyncjobs.errors import ArgumentsError

__all__ = ["PAIRS", "kept_id", "own_part", "tenant_prefix", "time_of"]

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

#: The two characters of each 10-bit number.
PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_PAIR_VALUES = {pair: value for value, pair in enumerate(PAIRS)}


def time_of(job_id: str) -> int:
    """Return when ``job_id`` was made, in Unix milliseconds, or 0 if the id is not one of ours."""
    job_id = own_part(job_id)
    if len(job_id) != 26:
        return 0
    value, values = 0, _PAIR_VALUES
    try:
        for at in (0, 2, 4, 6, 8):
            value = value << 10 | values[job_id[at : at + 2]]
    except KeyError:
        return 0
    return value


@functools.lru_cache(maxsize=1024)
def tenant_prefix(tenant: str) -> str:
    """Return what the ids of the jobs and schedules of ``tenant`` begin with."""
    return f"@{quote(tenant, safe='')}:"


def kept_id(tenant: str, given: str) -> str:
    """Return the id under which a job or a schedule is kept.

    Args:
        tenant: The id of its tenant, empty if it has none.
        given: Its id as its tenant knows it. With the tenant's prefix it is the kept one already.

    Raises:
        ArgumentsError: There is no tenant, and ``given`` would be the id of one's job.
    """
    if tenant:
        prefix = tenant_prefix(tenant)
        return given if given.startswith(prefix) else prefix + given
    if given.startswith("@"):
        raise ArgumentsError(
            f"the id {given!r:.80} begins with @, as the ids of tenants' jobs and schedules do, but there is no tenant "
            "here: choose another beginning, or name the tenant, by tenant_scope(…) or with_options(tenant=…)"
        )
    return given


def own_part(kept: str) -> str:
    """Return an id without the prefix of its tenant, if it has one."""
    return kept.partition(":")[2] if kept.startswith("@") else kept
