"""Finds the app that a command works on: in a module, by its broker's URL, or by the environment."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import sysconfig
import traceback
from types import ModuleType

from asyncjobs.app import App
from asyncjobs.cli.output import print_note
from asyncjobs.core.text import message_of, type_name
from asyncjobs.errors import ConfigurationError, closest

__all__ = ["ImportFailed", "app_of", "is_installed", "load_code", "named_app"]

_OURS = (os.path.dirname(os.path.dirname(__file__)) + os.sep, "<frozen ")
_MAX_PLACES = 5


class ImportFailed(Exception):
    """A module of the user raised an exception while it was imported.

    Args:
        module: The name of the module.
        error: The exception.
    """

    code: int
    """The exit code of the command."""

    places: list[str]
    """The lines of the user's code that led to it, innermost last, as ``file, line 7: code``."""

    def __init__(self, module: str, error: BaseException) -> None:
        # A message of several lines, as pydantic's, is told in one.
        message = " ".join(message_of(error).split())
        super().__init__(f"importing {module!r} failed: {type_name(type(error))}: {message}".removesuffix(": "))
        # A wrong setting, definition or call, which is as wrong at the next try: ours are of these types too.
        self.code = 2 if isinstance(error, ValueError | TypeError) else 1
        self.places = _places(error)


def is_installed(path: str) -> bool:
    """Return whether ``path`` is of the standard library, or of what pip has installed."""
    folders = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    return f"{path}{os.sep}".startswith(tuple(f"{one}{os.sep}" for one in folders))


def _places(error: BaseException) -> list[str]:
    found = [(one.filename, one.lineno, one.line) for one in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        # It has no frame of its own, since its code has not run.
        found.append((error.filename, error.lineno, (error.text or "").strip()))
    found = [one for one in found if not one[0].startswith(_OURS)]
    # A project may be installed too; then the frames of its packages can't be told from those of others.
    own = [one for one in found if not is_installed(one[0])] or found
    return [f"{file}, line {number}: {code}" for file, number, code in own[-_MAX_PLACES:]]


def app_of(options: argparse.Namespace) -> App:
    """Return the app that ``--app`` names, or else one on the broker of ``--url`` or of the environment.

    With both, the broker is that of ``--url``.

    Raises:
        ConfigurationError: ``--app`` names none, or the URL is wrong.
        ImportFailed: Its module can't be imported.
    """
    target = _target(options)
    if target is not None:
        app = _moved(_load_app(target), options.url, target)
    else:
        app = App(options.url) if options.url else App()
    if app.settings.server.scheme == "memory":
        print_note("asyncjobs: memory:// is of one process, and empty in this one; --url names a server")
    return app


def load_code(options: argparse.Namespace) -> App:
    """Return the app that the arguments name, and import the modules of ``--import``, which define its jobs.

    Raises:
        ConfigurationError: There is no such app or no such module, or the URL is wrong.
        ImportFailed: A module can't be imported.
    """
    target = named_app(options)
    app = _moved(_load_app(target), options.url, target)
    for name in options.imports:
        _import_module(name)
    return app


def named_app(options: argparse.Namespace) -> str:
    """Return where the app is that the arguments name, as in ``shop:app``; raise ``ConfigurationError`` without one."""
    target = _target(options)
    if target is None:
        raise ConfigurationError("which app? Name it, as in --app shop:app")
    return target


def _target(options: argparse.Namespace) -> str | None:
    short: str | None = getattr(options, "short_app", None)
    named: str | None = options.app
    if short is not None and named is not None:
        raise ConfigurationError(f"two apps are named, {short!r} and --app {named!r}; expected one")
    return short if named is None else named


def _moved(app: App, url: str | None, target: str) -> App:
    """Return ``app`` on the broker of ``url``, if there is one, and say so."""
    if url is not None:
        own = str(app.settings.server)
        app._move(url)
        server = str(app.settings.server)
        others = "" if own == server else f", which --url names, not on {own} of {target}"
        print_note(f"asyncjobs: acting on {server}{others}")
    return app


def _load_app(target: str) -> App:
    """Return the app that ``target`` names: ``module:attribute``, or ``module`` if it has just one app."""
    name, _, attribute = target.partition(":")
    if not name:
        raise ConfigurationError(f"{target!r} names no module: expected module:app, as in shop:app")
    module = _import_module(name)
    apps = [key for key, value in vars(module).items() if isinstance(value, App)]
    if not attribute:
        if len(apps) != 1:
            has = f"it has {', '.join(apps)}" if apps else "it has none"
            raise ConfigurationError(f"{target!r} does not say which app of the module: expected module:app; {has}")
        [attribute] = apps
    found: object = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            hint = closest(part, dir(found)) or (f" Its apps: {', '.join(apps)}." if apps else "")
            raise ConfigurationError(f"module {name!r} has no {attribute!r}.{hint}")
        found = getattr(found, part)
    if not isinstance(found, App):
        hint = f" Its apps: {', '.join(apps)}." if apps else " Create one: app = App()."
        raise ConfigurationError(f"{target!r} is a {type(found).__qualname__}, not an App.{hint}")
    return found


def _import_module(name: str) -> ModuleType:
    """Import a module, from the working directory first."""
    if not all(name.split(".")) or "/" in name:
        file = " and no file" if "/" in name else ""
        raise ConfigurationError(f"{name!r} is no module name: expected names with dots between them{file}, as in shop")
    if sys.path[0] != os.getcwd():
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only if this module is missing, or a package on the way to it, and not one that it imports.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise ImportFailed(name, error) from error
        hint = f" Did you mean {name.removesuffix('.py')!r}?" if name.endswith(".py") else ""
        raise ConfigurationError(
            f"there is no module {error.name!r} (asked for was {name!r}); run the command in the folder that holds it, "
            f"or install it.{hint}"
        ) from None
    except (Exception, SystemExit) as error:
        raise ImportFailed(name, error) from error
