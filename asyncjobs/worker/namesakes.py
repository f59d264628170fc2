"""Jobs of one name in two programs that share a broker: each program's workers would run the other's jobs."""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from asyncjobs.jobs.registry import Registry
from asyncjobs.ports import WorkerInfo

__all__ = ["names_by_module", "warn_of_namesakes"]

_log = logging.getLogger("asyncjobs.worker")

_MAX_SHOWN = 5

# In place of the name of a module that no other process could import.
_UNNAMED = "__main__"


def names_by_module(registry: Registry) -> dict[str, tuple[str, ...]]:
    """Return the names and aliases of all jobs, by the module of their handlers."""
    found: dict[str, list[str]] = defaultdict(list)
    for definition in registry:
        found[_module(definition.function)] += [definition.name, *definition.aliases]
    return {module: tuple(names) for module, names in found.items()}


def warn_of_namesakes(worker: WorkerInfo, others: Iterable[WorkerInfo]) -> None:
    """Log a warning for each two modules that define jobs of the same names for the same queues.

    Args:
        worker: The worker that has started.
        others: The workers that are present.
    """
    mine = _by_name(worker.handlers)
    shared: dict[tuple[str, str], tuple[WorkerInfo, set[str]]] = {}
    for other in others:
        if not set(worker.queues).intersection(other.queues):
            continue
        for name, module in _by_name(other.handlers).items():
            if name in mine and not _is_same(mine[name], module):
                shared.setdefault((mine[name], module), (other, set()))[1].add(name)
    for (here, there), (other, names) in shared.items():
        some = ", ".join(map(repr, sorted(names)[:_MAX_SHOWN])) + (", …" if len(names) > _MAX_SHOWN else "")
        _log.warning(
            "%s is defined here in %s, and in %s for the worker %s of %s: each takes the other's jobs. If these are "
            "two programs, give each a prefix of its own, App(prefix='…'), or its jobs other names, @job(name='…')",
            some,
            here,
            there,
            other.id,
            other.host,
        )


def _by_name(handlers: Mapping[str, Iterable[str]]) -> dict[str, str]:
    return {name: module for module, names in handlers.items() for name in names}


def _is_same(one: str, other: str) -> bool:
    """Return whether two names can be those of one module: it may be run as a script, or imported from elsewhere."""
    return _UNNAMED in (one, other) or f".{one}".endswith(f".{other}") or f".{other}".endswith(f".{one}")


def _module(function: Callable[..., Any]) -> str:
    """Return the name of a function's module as another process would import it."""
    # A function made of text may have no module.
    name: str | None = function.__module__
    if name != "__main__":
        return name or _UNNAMED
    main = sys.modules["__main__"]
    if main.__spec__ is not None:
        return main.__spec__.name
    file = getattr(main, "__file__", None)
    return _UNNAMED if file is None else Path(file).stem
