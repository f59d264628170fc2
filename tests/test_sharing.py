"""What several tasks use at once is opened for the first, and closed after the last."""

from __future__ import annotations

import asyncio

from asyncjobs.ports.sharing import Shared


class Thing:
    """Opens and closes in some turns of the loop, and counts."""

    def __init__(self) -> None:
        self.opened = self.closed = 0
        self.fails = False
        self.shared = Shared(self._open, self._close)

    async def _open(self) -> None:
        await asyncio.sleep(0)
        if self.fails:
            raise OSError("away")
        self.opened += 1
        assert self.opened == self.closed + 1

    async def _close(self) -> None:
        await asyncio.sleep(0)
        self.closed += 1
        assert self.opened == self.closed

    async def use(self, turns: int, times: int) -> None:
        for _ in range(times):
            await self.shared.enter()
            assert self.opened == self.closed + 1
            for _ in range(turns):
                await asyncio.sleep(0)
            await self.shared.leave()


def test_users_that_come_and_go_at_once_open_and_close_in_turn_on_one_loop_after_another() -> None:
    thing = Thing()

    async def main() -> None:
        await asyncio.gather(*(thing.use(turns, 20) for turns in range(8)))

    for _ in range(2):
        asyncio.run(main())
        assert (thing.shared.users, thing.opened) == (0, thing.closed)


def test_what_cannot_be_opened_is_tried_anew_by_each_and_has_no_user() -> None:
    thing = Thing()

    async def main() -> None:
        thing.fails = True
        replies = await asyncio.gather(*(thing.shared.enter() for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in replies] == [OSError] * 3
        assert thing.shared.users == 0
        thing.fails = False
        await thing.use(1, 1)

    asyncio.run(main())
    assert (thing.opened, thing.closed) == (1, 1)
