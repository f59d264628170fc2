"""Finds the app that ``module:app`` names."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType

from asyncjobs.app import App
from asyncjobs.errors import ConfigurationError, closest

__all__ = ["import_module", "load_app"]


def import_module(name: str) -> ModuleType:
    """Import a module, looking into the working directory first.

    Raises ``ConfigurationError`` if there is none; what a module raises itself passes through with its traceback.
    """
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only if it is this module that is missing, or a package on the way to it, and not one that it imports.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ConfigurationError(
            f"there is no module {error.name!r} (asked for was {name!r}); run the command in the folder that holds it, "
            "or install it"
        ) from None
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{name!r} is no module name: {error}") from None


def load_app(target: str) -> App:
    """Return the app that ``target`` names: ``module:attribute``, or ``module`` if it has just one app.

    Raises ``ConfigurationError`` that says what there is instead.
    """
    name, _, attribute = target.partition(":")
    if not name:
        raise ConfigurationError(f"{target!r} names no module: expected module:app, as in shop:app")
    module = import_module(name)
    apps = [key for key, value in vars(module).items() if isinstance(value, App)]
    if not attribute:
        if len(apps) == 1:
            attribute = apps[0]
        else:
            has = f"it has {', '.join(apps)}" if apps else "it has none"
            raise ConfigurationError(f"{target!r} does not say which app of the module: expected module:app; {has}")
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
