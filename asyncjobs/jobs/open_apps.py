"""The apps that are open in this process, and the one that sends a library's job."""

from __future__ import annotations

from asyncjobs.errors import AppNotOpen
from asyncjobs.jobs.context import running
from asyncjobs.jobs.request import Dispatcher

__all__ = ["dispatcher_for", "note_closed", "note_open"]

_open: list[Dispatcher] = []


def note_open(dispatcher: Dispatcher) -> None:
    """Remember that an app is open, so that the jobs of libraries are sent with it."""
    _open.append(dispatcher)


def note_closed(dispatcher: Dispatcher) -> None:
    """Forget an app that has closed."""
    if dispatcher in _open:
        _open.remove(dispatcher)


def dispatcher_for(name: str) -> Dispatcher:
    """Return the app that sends the job ``name`` of the default registry.

    Inside a handler that is the worker's app; elsewhere the one open app. (The requests of a web app don't see a
    context variable that is set in its lifespan, so the open apps are remembered in the process.)

    Raises:
        AppNotOpen: No app is open, or more than one.
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
