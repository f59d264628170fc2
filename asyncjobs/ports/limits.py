"""What a broker promises about the limits of queues."""

from __future__ import annotations

from typing import Protocol

from asyncjobs.core.limits import QueueLimit

__all__ = ["Limits"]


class Limits(Protocol):
    """The verbs that limit how many jobs of a queue run, at once and in a time; claims keep to it.

    A limit counts the jobs of all workers. What was set by hand goes before what the program declares. ``overview``
    tells the limit of a queue.
    """

    async def declare_limit(self, queue: str, limit: QueueLimit) -> QueueLimit:
        """Let a queue have the limit that its program declares, in place of what was declared before.

        Args:
            queue: The queue.
            limit: The limit; without a number, the queue has none.

        Returns:
            What was declared before.
        """
        ...

    async def set_limit(self, queue: str, limit: QueueLimit | None, by: str) -> bool:
        """Let a queue have a limit, whatever its program declares, or take that back.

        Args:
            queue: The queue.
            limit: The limit; without a number, the queue has none. ``None`` for what the program declares.
            by: Who sets it, for those who see it.

        Returns:
            Whether that changed anything.
        """
        ...
