"""The waits of the tests themselves: they end at the event, and say what they have awaited in vain."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from tests import waiting
from tests.waiting import Notes, until, until_sync

pytestmark = pytest.mark.anyio


async def test_an_event_and_a_condition_of_either_kind_are_awaited() -> None:
    event, calls = asyncio.Event(), itertools.count()

    async def later() -> bool:
        return next(calls) >= 2

    asyncio.get_running_loop().call_soon(event.set)
    await until(event, "the event")
    await until(event.is_set, "the event is set")
    await until(later, "the third call")
    assert next(calls) == 3


async def test_a_wait_in_vain_says_for_what_and_how_long() -> None:
    with pytest.raises(TimeoutError, match=r"awaited for 0\.01 s in vain: the moon is full"):
        await until(asyncio.Event(), "the moon is full", within=0.01)
    with pytest.raises(TimeoutError, match="the moon is full"):
        await until(lambda: False, "the moon is full", within=0.01)


def test_a_wait_without_a_loop_says_so_too() -> None:
    until_sync(lambda: True, "nothing")
    with pytest.raises(TimeoutError, match=r"awaited for 0\.01 s in vain: the moon is full"):
        until_sync(lambda: False, "the moon is full", within=0.01)


async def test_a_timeout_of_what_is_asked_is_passed_on() -> None:
    def ask() -> bool:
        raise TimeoutError("no answer")

    with pytest.raises(TimeoutError, match="no answer"):
        await until(ask, "an answer")


async def test_notes_are_awaited_and_shown_where_they_are_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    notes: Notes[int] = Notes()
    waits = asyncio.create_task(notes.reach(2))
    for number in range(2):
        await asyncio.sleep(0)
        notes.append(number)
    await waits
    assert notes == [0, 1]
    monkeypatch.setattr(waiting, "SOON", 0.01)
    with pytest.raises(TimeoutError, match="3 notes") as caught:
        await notes.reach(3)
    assert caught.value.__notes__ == ["noted are: [0, 1]"]
