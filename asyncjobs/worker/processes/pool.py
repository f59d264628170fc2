"""Processes for handlers: started when none is idle, kept for the next call, killed to stop a handler."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from asyncjobs.errors import DefinitionError
from asyncjobs.worker.processes.finding import is_importing_main
from asyncjobs.worker.processes.process import HandlerProcess
from asyncjobs.worker.processes.protocol import HandlerFailed, ProcessCall, ProcessDied, Raised, encode_call

__all__ = ["HandlerFailed", "HandlerProcesses", "ProcessCall", "ProcessDied"]

# How long a killed process may take to be gone, and an idle one to end by itself.
_KILLED_S = 1.0
_HANG_UP_S = 0.5


class HandlerProcesses:
    """Up to ``size`` processes that run one call each at a time.

    Raises ``DefinitionError`` in a process that is itself importing a handler: its script starts a worker unguarded.
    """

    def __init__(self, size: int) -> None:
        if is_importing_main():
            raise DefinitionError(
                "a process that was started to run a handler imports the handler's script, and that starts a worker of "
                'its own; put what starts it under `if __name__ == "__main__":`'
            )
        #: One for each process. A caller of ``run`` holds one around it; waiting callers get theirs in their order.
        self.slots = asyncio.Semaphore(size)
        self._children: set[HandlerProcess] = set()
        self._idle: list[HandlerProcess] = []
        self._lifeline: tuple[int, int] | None = None
        self._is_closed = False

    @property
    def pids(self) -> frozenset[int]:
        """The ids of the processes that live."""
        return frozenset(child.pid for child in self._children)

    async def run(
        self,
        call: ProcessCall,
        on_event: Callable[[bytes], None],
        on_extension: Callable[[float], None] | None = None,
    ) -> bytes:
        """Run ``call`` in a process and return the handler's value, encoded; the caller holds one of the ``slots``.

        ``on_event`` is called on the loop with each event that the handler emits, in order, before this returns, and
        ``on_extension`` with the seconds for which it asks to go on.
        Cancelled while the handler runs, the process is killed. Raises ``HandlerFailed`` with what the handler raised,
        and ``ProcessDied`` if the process ended by itself.
        """
        frame = encode_call(call)
        child = self._free_child()
        try:
            reply = await child.ask(frame, on_event, on_extension)
        finally:
            if child.is_ready and not self._is_closed:
                self._idle.append(child)
            else:
                child.kill()
                # The slot is free once the process is gone; only one that hangs in the kernel isn't waited for.
                await asyncio.wait([child.ended], timeout=_KILLED_S)
        if isinstance(reply, Raised):
            raise HandlerFailed(reply)
        return reply.value

    async def close(self) -> None:
        """End all processes: busy ones at once, whose calls raise ``ProcessDied``; idle ones by themselves."""
        self._is_closed = True
        for child in self._children:
            if child.is_ready:
                child.hang_up()
            else:
                child.kill()
        try:
            await self._all_ended(_HANG_UP_S)
        finally:
            for child in self._children:
                child.kill()
            if self._lifeline is not None:
                for end in self._lifeline:
                    os.close(end)
                self._lifeline = None
        await self._all_ended(_KILLED_S)

    async def _all_ended(self, timeout: float) -> None:
        if self._children:
            await asyncio.wait([child.ended for child in self._children], timeout=timeout)

    def _free_child(self) -> HandlerProcess:
        if self._is_closed:
            raise RuntimeError("the processes of the handlers were closed")
        while self._idle:
            # The one that was used last: its caches are warm.
            child = self._idle.pop()
            if child.is_ready:
                return child
        if self._lifeline is None:
            self._lifeline = os.pipe()
        child = HandlerProcess(self._lifeline[0], self._forget)
        self._children.add(child)
        return child

    def _forget(self, child: HandlerProcess) -> None:
        self._children.discard(child)
        if child in self._idle:
            self._idle.remove(child)
