"""Where a command finds its broker: an app in a module, a URL, or the environment."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from asyncjobs.app import App
from asyncjobs.cli.loading import load_app
from asyncjobs.cli.running import run

__all__ = ["add_command", "on_app"]

T = TypeVar("T")


def add_command(
    commands: Any, name: str, text: str, examples: str, action: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """Add a command to ``commands``, an argparse subparsers object, with the options that say where the broker is."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--app", metavar="MODULE:APP", help="where the App is; by default the environment says")
    parser.add_argument("--url", help="the broker, instead of an app")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    parser.set_defaults(run=action)
    return parser


def on_app(options: argparse.Namespace, action: Callable[[App], Awaitable[T]]) -> T:
    """Run ``action`` with the app that ``options`` name, open."""
    app = load_app(options.app) if options.app else App(options.url) if options.url else App()

    async def work() -> T:
        async with app:
            return await action(app)

    return run(work())
