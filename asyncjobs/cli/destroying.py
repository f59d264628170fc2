"""Asks before a command destroys jobs, and shows how many, and on which server."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable, Mapping

from asyncjobs.app import App
from asyncjobs.app.counting import Count
from asyncjobs.cli.output import ask, print_lines, print_note
from asyncjobs.cli.queues import note_unknown_queue
from asyncjobs.cli.running import on_app
from asyncjobs.errors import ConfigurationError

__all__ = ["destroy", "of_filter", "of_queues"]


def destroy(
    options: argparse.Namespace,
    app: App,
    verb: str,
    which: str,
    *,
    count: Callable[[App], Awaitable[Count]],
    act: Callable[[App], Awaitable[int]],
    done: str,
) -> int:
    """Destroy jobs once the user has agreed, or without asking by ``--yes``; return the exit code.

    Args:
        options: The parsed options, with ``yes``, ``json`` and ``queue``.
        app: The app to act on.
        verb: What is done, in one word, as in ``delete``.
        which: To which jobs, as the question goes on after their number: ``dead jobs of all queues``.
        count: Returns how many jobs that are.
        act: Does it, and returns how many jobs there were.
        done: What was done, as it stands after their number.

    Raises:
        ConfigurationError: There is no ``--yes``, and no terminal to ask on.
    """
    server = app.settings.server
    total = 0
    if options.yes:
        print_note(f"asyncjobs: acting on {server}")
        total = on_app(app, act)
    elif sys.stdin is None or not sys.stdin.isatty():
        raise ConfigurationError(f"{verb} {which} on {server}: give --yes where nobody can be asked")
    elif (found := on_app(app, count)) != Count(0):
        if not ask(f"{verb.capitalize()} {found} {which} on {server}?"):
            print_note("nothing was done")
            return 1
        total = on_app(app, act)
    print_lines(options, {"count": total}, f"{total} jobs {done}")
    if not total:
        note_unknown_queue(app, options.queue)
    return 0


def of_queues(queue: str | None) -> str:
    """Return ``all queues``, or which one, as ``destroy`` names them."""
    return "all queues" if queue is None else f"queue {queue}"


def of_filter(options: argparse.Namespace, jobs: str, which: Mapping[str, object]) -> str:
    """Return which jobs a filter means, as ``destroy`` names them: ``dead jobs of all queues with name send_email``.

    Args:
        options: The parsed options, with ``queue`` and those of the filter.
        jobs: What jobs they are, as in ``dead jobs``.
        which: The filter, whose keys are the names of the options.
    """
    given = [f"{name} {getattr(options, name)}" for name, value in which.items() if value is not None]
    return f"{jobs} of {of_queues(options.queue)}{' with ' if given else ''}{', '.join(given)}"
