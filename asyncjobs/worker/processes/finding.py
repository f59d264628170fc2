"""Finds a handler by its names, in a process that has imported nothing of its program yet."""

from __future__ import annotations

import importlib
import importlib.util
import io
import sys
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any, cast

import msgspec

from asyncjobs.errors import DefinitionError
from asyncjobs.jobs.definition import AsyncJobDefinition, JobDefinition, signature_of
from asyncjobs.jobs.handler import is_async
from asyncjobs.jobs.signature import Signature
from asyncjobs.worker.processes.protocol import ProcessCall

__all__ = ["MAIN", "Handler", "find_handler", "is_importing_main"]

#: What a program's ``__main__`` is called here, as in multiprocessing: its ``if __name__ == "__main__":`` is false.
MAIN = "__mp_main__"


class Handler(msgspec.Struct, frozen=True):
    """A handler, ready to be called."""

    function: Callable[..., Any]
    signature: Signature
    is_async: bool


def find_handler(call: ProcessCall) -> Handler:
    """Return the handler that ``call`` names.

    Raises ``DefinitionError`` if its module can't be imported or has no such function; what the module itself raised
    is the cause.
    """
    where = f"{call.module}.{call.qualname}"
    if "<" in call.qualname:
        raise DefinitionError(
            f"the handler {where} can't be run in a process: it is defined inside a function, where a process can't "
            "import it from. Move it to the top of its module"
        )
    if call.path != tuple(sys.path):
        sys.path[:] = call.path
    try:
        module = _import_main(call) if call.module == "__main__" else importlib.import_module(call.module)
    except (Exception, SystemExit) as error:
        raise DefinitionError(
            f"the handler {where} can't be run in a process: importing its module raised "
            f"{type(error).__qualname__}: {error}"
        ) from error
    found: Any = module
    for part in call.qualname.split("."):
        if not hasattr(found, part):
            raise DefinitionError(
                f"the handler {where} can't be run in a process: there is no {part!r} in {found!r}. A handler for "
                "processes stands in its module under its own name, and not under a condition that only one process "
                "meets"
            )
        found = getattr(found, part)
    return _handler(found, where)


def _handler(found: Any, where: str) -> Handler:
    # The decorator has put the job in the function's place; other decorators may have been put around the job.
    inner = found
    while not isinstance(inner, JobDefinition) and hasattr(inner, "__wrapped__"):
        inner = inner.__wrapped__
    if isinstance(inner, JobDefinition):
        return Handler(inner.function, signature_of(inner), isinstance(inner, AsyncJobDefinition))
    if not callable(found):
        raise DefinitionError(f"{where} is no handler but a {type(found).__qualname__}; another object took its name")
    return Handler(found, Signature(found, where), is_async(found))


# -- a program's __main__

_importing_main = False


def is_importing_main() -> bool:
    """Return whether this code runs because a process imports the script of its handler."""
    return _importing_main


def _import_main(call: ProcessCall) -> ModuleType:
    """Import the ``__main__`` of the worker's process, under another name and in place of this process's own."""
    global _importing_main
    if MAIN in sys.modules:
        return sys.modules[MAIN]
    module = ModuleType(MAIN)
    code = _code_of_main(call, module)
    own = sys.modules["__main__"]
    sys.modules[MAIN] = sys.modules["__main__"] = module
    _importing_main = True
    try:
        exec(code, module.__dict__)
    except BaseException:
        del sys.modules[MAIN]
        sys.modules["__main__"] = own
        raise
    finally:
        _importing_main = False
    return module


def _code_of_main(call: ProcessCall, module: ModuleType) -> CodeType:
    # `python folder` has a spec too, that of the folder's __main__.py, which no import system finds by that name.
    if call.main_module and call.main_module != "__main__":
        spec = importlib.util.find_spec(call.main_module)
        if spec is None or not hasattr(spec.loader, "get_code"):
            raise ImportError(f"there is no source of {call.main_module!r}, which the worker was started with")
        module.__spec__, module.__package__, module.__loader__ = spec, spec.parent, spec.loader
        module.__file__ = spec.origin
        return cast("CodeType", cast("Any", spec.loader).get_code(call.main_module))
    if not call.main_file:
        raise ImportError("the program is no file, but was typed in or passed by -c; write the handler into a module")
    module.__file__ = call.main_file
    with io.open_code(call.main_file) as file:
        return compile(file.read(), call.main_file, "exec")
