"""The dead letter queue of one queue, and beside it the dead of each tenant: ``lua/dead.lua``."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["DeadLetters"]

_PRUNED_A_CALL = 1_000


class DeadLetters:
    """Id → when it died, in that order; the same for each tenant (as in a record's header, empty for none)."""

    __slots__ = ("_all", "_by_tenant")

    def __init__(self) -> None:
        self._all: dict[str, int] = {}
        self._by_tenant: dict[bytes, dict[str, int]] = {}

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._all

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def died_at(self, job_id: str) -> int:
        """Return when a job that is here died."""
        return self._all[job_id]

    def of_tenant(self, tenant: bytes) -> dict[str, int]:
        """Return when each of the dead of ``tenant`` died."""
        return self._by_tenant.get(tenant, {})

    def bury(self, job_id: str, tenant: bytes, now_ms: int) -> None:
        """Add a job that isn't here yet."""
        self._all[job_id] = now_ms
        if tenant:
            self._by_tenant.setdefault(tenant, {})[job_id] = now_ms

    def exhume(self, job_id: str, tenant: bytes) -> None:
        """Take out a job that is here."""
        del self._all[job_id]
        own = self._by_tenant.get(tenant)
        if own is not None:
            own.pop(job_id, None)
            if not own:
                del self._by_tenant[tenant]

    def latest(self, limit: int, before: tuple[int, str] | None, tenant: bytes) -> list[str]:
        """Return the latest, those of one millisecond by id, the last first; with ``tenant``, of its own.

        ``before``: when the last of the page before died, and its id.
        """
        dead = self.of_tenant(tenant) if tenant else self._all
        found: list[tuple[int, str]] = []
        for job_id in reversed(dead):
            died_at_ms = dead[job_id]
            if len(found) >= limit and died_at_ms != found[-1][0]:
                break
            if before is None or (died_at_ms, job_id) < before:
                found.append((died_at_ms, job_id))
        found.sort(reverse=True)
        return [job_id for _, job_id in found[:limit]]

    def surplus(self, ttl_ms: int, most: int, now_ms: int) -> list[str]:
        """Return those that are too old or too many, the oldest first; the work of one call is bounded."""
        excess = len(self._all) - most
        found = []
        for number, (job_id, died_at_ms) in enumerate(self._all.items()):
            if number >= _PRUNED_A_CALL or (number >= excess and died_at_ms > now_ms - ttl_ms):
                break
            found.append(job_id)
        return found
