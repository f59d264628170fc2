"""What was done by hand, how jobs are defined, and what keeps them, in memory."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import msgspec

from asyncjobs.core.package import PACKAGE_VERSION
from asyncjobs.core.retention import MAX_AUDITS, MAX_CATALOGUE, MAX_DEPLOYS
from asyncjobs.ports import AuditRecord, CatalogueEntry, ServerNode, ServerState

__all__ = ["MemoryOperations"]


class MemoryOperations:
    """A ``ports.Operations`` under the broker's lock."""

    _lock: threading.RLock
    _now_ms: Callable[[], int]

    def __init__(self) -> None:
        self._audits: deque[AuditRecord] = deque(maxlen=MAX_AUDITS)
        self._audit_numbers = itertools.count(1)
        self._catalogue: dict[str, CatalogueEntry] = {}
        self._deploys: dict[str, int] = {}

    async def audit(self, record: AuditRecord) -> None:
        with self._lock:
            # Numbers of one width, so that ids are in order as texts are.
            number = f"{next(self._audit_numbers):015}-0"
            self._audits.append(msgspec.structs.replace(record, id=number, at_ms=self._now_ms()))

    async def audits(self, before: str, limit: int) -> list[AuditRecord]:
        with self._lock:
            found = (record for record in reversed(self._audits) if not before or record.id < before)
            return list(itertools.islice(found, limit))

    async def publish_catalogue(self, entries: Sequence[CatalogueEntry]) -> None:
        with self._lock:
            for entry in entries:
                if entry.name in self._catalogue or len(self._catalogue) < MAX_CATALOGUE:
                    self._catalogue[entry.name] = entry

    async def catalogue(self) -> Mapping[str, CatalogueEntry]:
        with self._lock:
            return dict(self._catalogue)

    async def note_deploy(self, deploy: str, began_ms: int) -> None:
        with self._lock:
            self._deploys[deploy] = min(began_ms, self._deploys.get(deploy, began_ms))
            for earliest in [*self._in_order()][:-MAX_DEPLOYS]:
                del self._deploys[earliest]

    async def deploys(self) -> Mapping[str, int]:
        with self._lock:
            return self._in_order()

    def _in_order(self) -> dict[str, int]:
        return dict(sorted(self._deploys.items(), key=lambda one: (one[1], one[0])))

    async def server(self) -> ServerState:
        return ServerState(kind="memory", nodes=(ServerNode(address="", version=f"asyncjobs {PACKAGE_VERSION}"),))
