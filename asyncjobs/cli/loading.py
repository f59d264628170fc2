"""Finds the app that a command works on: in a module, by its broker's URL, or by the environment."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from types import ModuleType

from asyncjobs.app import App
from asyncjobs.errors import ConfigurationError, closest

__all__ = ["app_of", "load_code"]


def app_of(options: argparse.Namespace) -> App:
    """Return the app that ``--app`` names, or else one on the broker of ``--url`` or of the environment.

    Raises:
        ConfigurationError: ``--app`` names none, or the URL is wrong.
    """
    if options.app:
        return _load_app(options.app)
    return App(options.url) if options.url else App()


def load_code(options: argparse.Namespace) -> App:
    """Return the app that the argument ``app`` names, and import the modules of ``--import``, which define its jobs.

    Raises:
        ConfigurationError: There is no such app or no such module.
    """
    app = _load_app(options.app)
    for name in options.imports:
        _import_module(name)
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
    """Import a module, from the working directory first; what the module itself raises passes through."""
    if sys.path[0] != os.getcwd():
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only if this module is missing, or a package on the way to it, and not one that it imports.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ConfigurationError(
            f"there is no module {error.name!r} (asked for was {name!r}); run the command in the folder that holds it, "
            "or install it"
        ) from None
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{name!r} is no module name: {error}") from None
