"""An error of a handler as an exception again, where a job's result is awaited."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["cause_of", "loaded_class"]

# Py_TPFLAGS_HEAPTYPE: what a class statement makes; the classes of the interpreter itself have not this flag.
_MADE_BY_A_STATEMENT = 1 << 9

# More parts than this has no name of a class.
_MAX_PARTS = 32


def loaded_class(module: str, qualname: str) -> type[BaseException] | None:
    """Return the exception class of that name, if this process has imported it; nothing is imported for it."""
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        # Not by getattr, for which a module may have a function that imports.
        found = getattr(found, "__dict__", {}).get(part)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def cause_of(type_name: str, message: str) -> BaseException | None:
    """Return an exception of the class that ``type_name`` names, with ``message`` as its text.

    What stands in a broker may come from anybody who can write there. So no module is imported, and no code of the
    class is run: one with an ``__init__`` of its own has the text, and not the attributes that its ``__init__`` sets.

    Args:
        type_name: The module and the name of the class; of a built-in one, its name.
        message: The text.

    Returns:
        The exception; ``None`` if this process has not imported its class, or it can't be made from a text.
    """
    parts = type_name.split(".")
    if len(parts) > _MAX_PARTS:
        return None
    # The module is the longest that there is: what follows it is the name of the class.
    places = [(".".join(parts[:n]), ".".join(parts[n:])) for n in range(len(parts) - 1, 0, -1)]
    kind = next(
        (found for place in places or [("builtins", type_name)] if (found := loaded_class(*place)) is not None), None
    )
    if kind is None:
        return None
    base: Any = next(one for one in kind.__mro__ if not one.__flags__ & _MADE_BY_A_STATEMENT)
    try:
        error: BaseException = base.__new__(kind, message)
        base.__init__(error, message)
    except Exception:
        # As of UnicodeDecodeError, which is made from five values.
        return None
    return error
