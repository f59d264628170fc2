"""The verbs of an app for dead jobs by what they died of."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection
from typing import get_args

from asyncjobs.app import audit
from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.core.bounds import shown
from asyncjobs.core.options import checked_queue, checked_text
from asyncjobs.errors import ArgumentsError
from asyncjobs.ports import DeadGroup, GroupState

__all__ = ["GroupVerbs"]

#: How many characters a note has at most.
_MAX_NOTE = 500


class GroupVerbs(Verbs):
    """The verbs for groups of dead jobs. A group is made by the broker as a job dies, so listing them is cheap."""

    @on_app_loop
    async def failed_groups(self, *, queue: str | Collection[str] | None = None) -> list[DeadGroup]:
        """Return the groups of dead jobs, the one with the latest death first.

        The jobs of a group have the same job name, type of error, message (but for ids, numbers, times and the like)
        and place in the code. A queue has 500 groups at most; the jobs of further ones are in one with the id
        ``other``. Jobs that an earlier asyncjobs has buried are in one with an empty id. The groups are of the jobs of
        all tenants.

        Args:
            queue: Only groups of this queue, or of these queues.

        Example:
            ```python
            for group in await app.failed_groups():
                print(group.count, group.name, group.error, group.message)
            ```
        """
        each = await asyncio.gather(*map(self._broker.dead_groups, await self._queues(queue)))
        found = itertools.chain.from_iterable(each)
        return sorted(found, key=lambda group: (group.last_ms, group.count), reverse=True)

    @on_app_loop
    async def mark_group(self, group: str, state: GroupState = "seen", *, queue: str, note: str = "") -> bool:
        """Note what is known of a group of dead jobs, for others who look at it.

        Args:
            group: The id of the group.
            state: ``seen``, or ``new`` to take that back. A group that was empty and has jobs again is ``back``, with
                its note.
            queue: Its queue.
            note: What to know of it, 500 characters at most.

        Returns:
            Whether there is such a group.

        Raises:
            ArgumentsError: There is no such ``state``, or ``note`` is too long.
        """
        if not isinstance(state, str) or state not in get_args(GroupState):
            raise ArgumentsError(f"state={shown(state)}: expected seen, new or back")
        if len(checked_text("note", note)) > _MAX_NOTE:
            raise ArgumentsError(f"note={shown(note)}: expected at most {_MAX_NOTE} characters")
        is_known = await self._broker.mark_group(checked_queue(queue), checked_text("group", group), state, note)
        await audit.note(
            self._broker, "mark_group", group, queue=queue, which={"state": state}, count=is_known, why=note
        )
        return is_known
