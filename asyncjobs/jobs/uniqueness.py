"""What makes the calls of a job one: its options checked against its parameters, and the rule for one call."""

from __future__ import annotations

import msgspec

from asyncjobs.core.bounds import shown
from asyncjobs.core.options import DefinitionOptions
from asyncjobs.core.uniqueness import Debounce, Unique, UniqueRule, digest
from asyncjobs.errors import DefinitionError, closest
from asyncjobs.jobs.signature import Signature

__all__ = ["check_unique", "rule_for"]


def check_unique(name: str, options: DefinitionOptions, signature: Signature) -> None:
    """Raise ``DefinitionError`` unless the options of the job ``name`` can be kept.

    Args:
        name: The job name.
        options: Its options.
        signature: Its parameters.
    """
    if options.unique is not None and options.debounce is not None:
        raise DefinitionError(
            f"job {name!r} has both unique and debounce: choose unique to keep the first call, or debounce to run the "
            "last one once calls have calmed down"
        )
    if options.debounce is not None and options.timing is not None:
        raise DefinitionError(f"job {name!r} has both a schedule and debounce, which would put off each of its ticks")
    chosen = options.unique or options.debounce
    if chosen is None:
        return
    what = "unique" if options.unique else "debounce"
    own = [one.lstrip("*") for one in signature.parameters]
    names = _names(chosen)
    for one in names or ():
        if one not in own:
            raise DefinitionError(
                f"job {name!r}: {what} has by={shown(one)}, which is none of its parameters, "
                f"{', '.join(own) or 'none'}.{closest(one, own)}"
            )
    for one, default in signature.defaults.items():
        if names is None or one in names:
            try:
                signature.subject({one: default})
            except Exception as error:
                raise DefinitionError(
                    f"job {name!r}: {what} goes by {one!r}, whose default can't be written: {error}; leave it out of by"
                ) from error


def rule_for(
    chosen: Unique | Debounce, signature: Signature, arguments: bytes, keywords: tuple[str, ...]
) -> UniqueRule:
    """Return the rule of a call, with a key that stands for its arguments alone.

    Args:
        chosen: Which calls count as one.
        signature: The parameters of the job.
        arguments: Those of the call, as ``signature`` encodes them.
        keywords: The names of the last of them.

    Raises:
        ArgumentsError: An argument that counts can't be written.
    """
    values = signature.complete(msgspec.Raw(arguments), keywords)
    names = _names(chosen)
    return chosen.rule(digest(signature.subject(values if names is None else {one: values[one] for one in names})))


def _names(chosen: Unique | Debounce) -> tuple[str, ...] | None:
    if chosen.by is None:
        return None
    return (chosen.by,) if isinstance(chosen.by, str) else tuple(chosen.by)
