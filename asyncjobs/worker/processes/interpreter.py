"""Starts Python for a process of asyncjobs, so that no module of the user's project takes the place of another."""

from __future__ import annotations

import os
import sys

__all__ = ["command_of"]

_PROGRAM = "import sys; sys.path[:] = sys.argv.pop(1).split({separator!r}); from {module} import main; sys.exit(main())"

_STANDARD = os.path.dirname(os.__file__)
_STANDARD_LIBRARY = (_STANDARD, os.path.join(_STANDARD, "lib-dynload"))


def command_of(module: str, *arguments: str) -> list[str]:
    """Return the command that calls ``main()`` of ``module`` in a Python like this one.

    Args:
        module: A module of asyncjobs.
        *arguments: What ``main`` finds in ``sys.argv``.
    """
    # However asyncjobs and its dependencies are found here, they are found there. But the standard library comes first:
    # a project may have a queue.py or a types.py.
    path = [os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)]
    path.sort(key=lambda entry: entry not in _STANDARD_LIBRARY)
    program = _PROGRAM.format(separator=os.pathsep, module=module)
    # Not from the working directory, which Python puts first.
    return [sys.executable, "-P", *_flags(), "-c", program, os.pathsep.join(path), *arguments]


def _flags() -> list[str]:
    flags = [f"-W{option}" for option in sys.warnoptions]
    flags += [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]
    if sys.flags.optimize:
        flags.append("-" + "O" * sys.flags.optimize)
    return flags
