"""Who runs what, and until when: the leases of one queue, grouped by the claim that granted them."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

__all__ = ["Expired", "Leases"]

#: A lease that has lapsed, in the order of recovery: deadline, ``fence:priority:id`` in UTF-8, fence, priority, id.
Expired = tuple[int, bytes, int, int, str]


class _Claim:
    """The jobs of one claim that are still leased: id → priority, in the order of the claim.

    ``extended`` holds the deadlines that differ from the claim's own; ``check_at_ms`` is when to look for lapsed ones.
    """

    __slots__ = ("check_at_ms", "deadline_ms", "extended", "members")

    def __init__(self, members: dict[str, int], deadline_ms: int) -> None:
        self.members = members
        self.deadline_ms = deadline_ms
        self.check_at_ms = deadline_ms
        self.extended: dict[str, int] = {}


class Leases:
    """The leases of one queue. ``reasons``: (fence, id) of running jobs whose cancellation is wanted → why."""

    __slots__ = ("_checks", "_claims", "count", "reasons")

    def __init__(self) -> None:
        self._claims: dict[int, _Claim] = {}
        # (when to look, fence): one entry a claim, plus some that are out of date.
        self._checks: list[tuple[int, int]] = []
        self.count = 0
        self.reasons: dict[tuple[int, str], str] = {}

    def grant(self, fence: int, members: dict[str, int], deadline_ms: int) -> None:
        """Lease ``members`` (id → priority, kept) under ``fence`` until ``deadline_ms``."""
        self._claims[fence] = _Claim(members, deadline_ms)
        self.count += len(members)
        if len(self._checks) > 64 + 2 * len(self._claims):
            self._checks = [(claim.check_at_ms, known) for known, claim in self._claims.items()]
            heapify(self._checks)
        else:
            heappush(self._checks, (deadline_ms, fence))

    def take(self, fence: int, priority: int, job_id: str) -> bool:
        """End a lease; say whether it held."""
        claim = self._claims.get(fence)
        if claim is None or claim.members.get(job_id) != priority:
            return False
        del claim.members[job_id]
        self.count -= 1
        if not claim.members:
            del self._claims[fence]
        elif claim.extended:
            claim.extended.pop(job_id, None)
        if self.reasons:
            self.reasons.pop((fence, job_id), None)
        return True

    def extend(self, fence: int, priority: int, job_id: str, deadline_ms: int) -> bool:
        """Give a lease a new deadline, also if it has lapsed; say whether it held."""
        claim = self._claims.get(fence)
        if claim is None or claim.members.get(job_id) != priority:
            return False
        claim.extended[job_id] = deadline_ms
        if deadline_ms < claim.check_at_ms:
            claim.check_at_ms = deadline_ms
            heappush(self._checks, (deadline_ms, fence))
        return True

    def holds(self, fence: int, priority: int, job_id: str) -> bool:
        """Say whether a lease holds."""
        claim = self._claims.get(fence)
        return claim is not None and claim.members.get(job_id) == priority

    def ids(self) -> list[str]:
        """Return the ids of all leased jobs."""
        return [job_id for claim in self._claims.values() for job_id in claim.members]

    def members(self, fence: int) -> dict[str, int]:
        """Return what is still leased under ``fence``, as id → priority."""
        claim = self._claims.get(fence)
        return claim.members if claim is not None else {}

    def fence_of(self, job_id: str) -> int | None:
        """Return the fence under which the job runs; one look-up a claim that has running jobs."""
        for fence, claim in self._claims.items():
            if job_id in claim.members:
                return fence
        return None

    def expired(self, now_ms: int) -> list[Expired]:
        """Return the leases that lapsed before ``now_ms``, by deadline; they stay until they are taken."""
        found: list[Expired] = []
        checks = self._checks
        while checks and checks[0][0] < now_ms:
            check_at_ms, fence = heappop(checks)
            claim = self._claims.get(fence)
            if claim is None or claim.check_at_ms != check_at_ms:
                continue
            claim.check_at_ms = _NEVER
            for job_id, priority in claim.members.items():
                deadline_ms = claim.extended.get(job_id, claim.deadline_ms)
                if deadline_ms < now_ms:
                    found.append((deadline_ms, f"{fence}:{priority}:{job_id}".encode(), fence, priority, job_id))
                elif deadline_ms < claim.check_at_ms:
                    claim.check_at_ms = deadline_ms
            if claim.check_at_ms != _NEVER:
                heappush(checks, (claim.check_at_ms, fence))
        found.sort()
        return found


_NEVER = 1 << 62
