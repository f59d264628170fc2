"""The last claim of each worker, for the case that it is sent again."""

from __future__ import annotations

from asyncjobs.ports import ClaimRequest

__all__ = ["ClaimMemory"]

_KEEP_MS = 60_000


class ClaimMemory:
    """Worker → number and fence of its last claim that got something, and until when that is remembered."""

    __slots__ = ("_claims",)

    def __init__(self) -> None:
        # The oldest first.
        self._claims: dict[str, tuple[int, int, int]] = {}

    def fence_of(self, request: ClaimRequest, now_ms: int) -> int | None:
        """Return the fence under which this very request was answered before, ``None`` for a new one."""
        last = self._claims.get(request.worker)
        return last[1] if last is not None and last[0] == request.number and last[2] > now_ms else None

    def remember(self, request: ClaimRequest, fence: int, now_ms: int) -> None:
        """Remember that ``request`` was answered under ``fence``, for two leases or a minute at least."""
        claims = self._claims
        claims.pop(request.worker, None)
        claims[request.worker] = (request.number, fence, now_ms + max(_KEEP_MS, 2 * request.lease_ms))
        oldest = next(iter(claims))
        if claims[oldest][2] <= now_ms:
            del claims[oldest]
