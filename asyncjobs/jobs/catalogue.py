"""How jobs are defined, as workers make it known to those without the code: parameters, and which are secret."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence

from asyncjobs.core.options import DEFAULT_QUEUE
from asyncjobs.errors import DefinitionError
from asyncjobs.jobs.definition import JobDefinition, signature_of
from asyncjobs.jobs.registry import Registry
from asyncjobs.ports import CatalogueEntry

__all__ = ["catalogue_of", "entry_of", "names_by", "secrets_in"]

_SUMMARY_CHARS = 200


def catalogue_of(registry: Registry) -> Iterator[CatalogueEntry]:
    """Yield the definition of each job, under its name and its aliases."""
    for definition in registry:
        for name in (definition.name, *definition.aliases):
            if (entry := entry_of(name, definition)) is not None:
                yield entry


def entry_of(name: str, definition: JobDefinition[..., object]) -> CatalogueEntry | None:
    """Return the definition of a job under ``name``; ``None`` where its annotations can't be resolved."""
    try:
        signature = signature_of(definition)
    except DefinitionError:
        return None
    summary = (inspect.getdoc(definition.function) or "").partition("\n")[0]
    return CatalogueEntry(
        name=name,
        queue=definition.options.queue or DEFAULT_QUEUE,
        parameters=signature.parameters,
        secret=tuple(sorted(signature.secret)),
        summary=summary[:_SUMMARY_CHARS],
    )


def names_by(entry: CatalogueEntry, count: int, keywords: Sequence[str]) -> tuple[str, ...]:
    """Return the names of ``count`` stored arguments, of which those passed by keyword come last.

    Returns:
        The names, as ``Signature.names_of`` gives them; empty if there are more arguments than parameters.
    """
    own = list(entry.parameters)
    positional = count - len(keywords)
    names = [name for name in own if not name.startswith("*")][:positional]
    rest = next((name[1:] for name in own if name.startswith("*") and not name.startswith("**")), None)
    if rest is not None:
        before = own.index(f"*{rest}")
        names = names[:before]
        names += [f"{rest}[{at}]" for at in range(positional - len(names))]
    return (*names, *keywords) if len(names) == positional else ()


def secrets_in(entry: CatalogueEntry, names: Sequence[str]) -> tuple[str, ...]:
    """Return those of ``names`` whose values aren't to be shown, and those of a secret ``*name`` and ``**name``."""
    others = {name[2:] for name in entry.parameters if name.startswith("**")}
    own = {name.lstrip("*") for name in entry.parameters}
    return tuple(
        name
        for name in names
        if name.partition("[")[0] in entry.secret or (name not in own and others & set(entry.secret))
    )
