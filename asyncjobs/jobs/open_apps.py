"""The apps that are open in this process, and the one that a library's job is sent with."""

from __future__ import annotations

from asyncjobs.errors import AppNotOpen
from asyncjobs.jobs.context import running
from asyncjobs.jobs.request import Dispatcher

__all__ = ["dispatcher_for", "note_closed", "note_open"]

_open: list[Dispatcher] = []


def note_open(dispatcher: Dispatcher) -> None:
    """Remember that an app is open, so that a library's jobs find it."""
    _open.append(dispatcher)


def note_closed(dispatcher: Dispatcher) -> None:
    """Forget an app that has closed."""
    if dispatcher in _open:
        _open.remove(dispatcher)


def dispatcher_for(name: str) -> Dispatcher:
    """Return the app that a job of the default registry is sent with.

    Inside a handler that is the worker's; else the one open app (a context variable set in a web app's lifespan isn't
    seen by its requests, so the open apps are remembered in the process). Raises ``AppNotOpen`` if there is none, or
    more than one.
    """
    context = running.get()
    if context is not None:
        return context._dispatcher
    if len(_open) == 1:
        return _open[0]
    if not _open:
        raise AppNotOpen(
            f"{name!r} can't be sent: no app is open. Open one around it (`async with app:`, or lifespan=app.lifespan "
            "in a web app), or name one: .with_options(app=app)"
        )
    raise AppNotOpen(f"{name!r} can't be sent: {len(_open)} apps are open. Name one: .with_options(app=app)")
