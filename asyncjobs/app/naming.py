"""How jobs are shown: decrypted, with the names of their arguments, and which of them are secret.

The code tells names and secrets, an app's own or that of its workers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec

from asyncjobs.app.connection import Connection
from asyncjobs.core.encrypted import key_id_of
from asyncjobs.core.job import Job
from asyncjobs.core.record.version import DECODING_ERRORS
from asyncjobs.errors import ArgumentsError, BrokerError, DefinitionError, UnknownJobName
from asyncjobs.jobs.catalogue import entry_of, names_by, secrets_in
from asyncjobs.jobs.definition import signature_of
from asyncjobs.jobs.encryption import Encryption
from asyncjobs.jobs.registry import Registry
from asyncjobs.ports import CatalogueEntry

__all__ = ["Naming"]

# How long what workers have made known is taken for what they make known now, in seconds.
_KNOWN_FOR_S = 10.0


class Naming:
    """Gives jobs the names of their arguments, and decrypts them as far as the app has the keys.

    Args:
        connection: The app's connection.
        registry: The jobs of the app. Those of others are asked for from the broker.
        encryption: Decrypts the jobs that are encrypted.
    """

    def __init__(self, connection: Connection, registry: Registry, encryption: Encryption | None = None) -> None:
        self._connection = connection
        self._registry = registry
        self._encryption = encryption
        self._catalogue: Mapping[str, CatalogueEntry] = {}
        self._read_at = -_KNOWN_FOR_S

    async def named(self, job: Job) -> Job:
        """Return ``job`` with the names of its arguments, where they are known."""
        [found] = await self.all_named([job])
        return found

    async def all_named(self, jobs: list[Job]) -> list[Job]:
        """Return each of ``jobs`` with the names of its arguments, where they are known."""
        if self._encryption is not None:
            jobs = [*map(self._encryption.shown, jobs)]
        names = {job.name for job in jobs if job.name and not job.is_newer}
        entries = {name: entry for name in names if (entry := self._entry(name)) is not None}
        if unknown := names - entries.keys():
            others = await self.catalogue()
            entries |= {name: others[name] for name in unknown if name in others}
        return [self._named(job, entries[job.name]) if job.name in entries else job for job in jobs]

    async def catalogue(self) -> Mapping[str, CatalogueEntry]:
        """Return how the jobs are defined that workers have made known, as of a moment ago."""
        now = time.monotonic()
        if now - self._read_at >= _KNOWN_FOR_S:
            try:
                self._catalogue = await self._connection.broker.catalogue()
            except BrokerError:
                # Of a Cluster, the part that has it may be away; the jobs are there all the same.
                return self._catalogue
            self._read_at = now
        return self._catalogue

    async def definition(self, name: str) -> CatalogueEntry | None:
        """Return how the job of this name is defined, ``None`` where neither the app nor a worker knows it."""
        return self._entry(name) or (await self.catalogue()).get(name)

    def _entry(self, name: str) -> CatalogueEntry | None:
        """Return how the app's own code defines a job; ``None`` if it doesn't, or an annotation can't be resolved."""
        try:
            return entry_of(name, self._registry.get(name))
        except UnknownJobName:
            return None

    def _named(self, job: Job, entry: CatalogueEntry) -> Job:
        if job.is_newer or key_id_of(job.envelope.arguments):
            return job
        try:
            names = self._names(job, entry)
            # Where code with other parameters has sent it, any of its arguments may be a secret one.
            secret = secrets_in(entry, names) if names else tuple(job.named_arguments if entry.secret else ())
        except DECODING_ERRORS:
            return job
        return msgspec.structs.replace(job, parameters=names, secret=secret)

    def _names(self, job: Job, entry: CatalogueEntry) -> tuple[str, ...]:
        """Return the names of the arguments; none where they don't fit the definition."""
        keywords = job.envelope.keywords
        try:
            signature = signature_of(self._registry.get(job.name))
            return signature.names_of(job.envelope.arguments, keywords)
        except (UnknownJobName, DefinitionError, NameError):
            return names_by(entry, len(job.arguments), keywords)
        except ArgumentsError:
            return ()
