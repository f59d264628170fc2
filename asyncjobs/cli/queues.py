"""Notices a queue that is named on the command line and that does not exist, as after a typing error."""

from __future__ import annotations

from asyncjobs.app import App
from asyncjobs.app.counting import known_queues
from asyncjobs.cli.output import print_note
from asyncjobs.cli.running import on_app
from asyncjobs.errors import AsyncJobsError, closest

__all__ = ["check_queue", "note_unknown_queue"]


async def check_queue(app: App, queue: str) -> None:
    """Raise an error unless the broker or the app's code knows ``queue``.

    Args:
        app: The app, which is open.
        queue: The name of the queue.

    Raises:
        AsyncJobsError: Neither does.
    """
    known = await known_queues(app)
    if queue not in known:
        raise AsyncJobsError(
            f"there is no queue {queue!r} on {app.settings.server}: no job was sent to it, no worker serves it, and no "
            f"code that --app names uses it.{closest(queue, known)}"
        )


def note_unknown_queue(app: App, queue: str | None) -> None:
    """Say on standard error if ``queue``, in which nothing was found, does not exist."""
    if queue is None:
        return
    try:
        on_app(app, lambda app: check_queue(app, queue))
    except AsyncJobsError as error:
        print_note(f"asyncjobs: {error}")
