"""The way to the members of a Cluster: what one of them can't do stays with its slots.

redis-py's client gives up its connections to all members, and learns the slots anew, after an error of any of them. So
one primary that is down stops all others. Here each member has connections of its own, and one that can't be reached is
tried again in the background. Until it is back, calls to it fail at once, so that nobody waits for it again and again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import redis.exceptions

from asyncjobs.brokers.redis.blocked import LoopBlocked
from asyncjobs.brokers.redis.line import Calls, closed
from asyncjobs.brokers.redis.node import Call, Node, raise_first
from asyncjobs.brokers.redis.scripts import Script
from asyncjobs.brokers.redis.slots import Address, Slots, slot_of
from asyncjobs.core.server import Server
from asyncjobs.ports.outage import BROKER_PAUSES_S, pause_after

__all__ = ["Cluster", "NotSent"]

_UNREACHABLE = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)
_ANY_ERROR = (redis.exceptions.RedisError, OSError)

# While a slot moves, a call is sent to where it is told to, or again after a moment, so many times.
_MAX_TRIES = 16
_TRY_AGAIN_S = 0.05

# How many members are asked for the slots at the same time; the first answer counts.
_ASKED_AT_ONCE = 5


class NotSent(redis.exceptions.ConnectionError):
    """Nothing was sent, since the member could not be reached a moment ago."""


class _Member(Node):
    """A member, and why it can't be reached, if so."""

    def __init__(self, settings: Server, hot: Iterable[Script]) -> None:
        super().__init__(settings, hot)
        self.error: Exception | None = None
        self.probe: asyncio.Task[None] | None = None


class Cluster:
    """The connections to a Cluster, by member.

    Args:
        settings: Where some members are.
        hot: The scripts that have a connection each for themselves, to each member.
    """

    def __init__(self, settings: Server, hot: Iterable[Script] = ()) -> None:
        self._settings = settings
        self._hot = hot
        self._slots = Slots()
        self._members: dict[Address, _Member] = {}
        self._learning = asyncio.Lock()
        self._is_closed = False

    # -- calls

    def caller(self, key: str, script: Script | None = None) -> Call:
        """Return what calls the primary of ``key``, with ``script`` if one is given."""
        return partial(self._call, key, lambda member: member.calls(script))

    def waiter(self, key: str) -> Call:
        """Return what calls the primary of ``key`` with a command that blocks."""
        return partial(self._call, key, _waits)

    async def send(self, key: str, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands to the primary of ``key`` over one connection; return the replies, errors among them."""
        return await self._send(key, _commands, commands, None)

    async def call_each(self, commands: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Send commands, each to the primary of its key, and return the replies."""
        return await asyncio.gather(*(self.caller(key)(*command) for key, command in commands))

    async def _call(self, key: str, lines: Callable[[_Member], Calls], *args: Any, timeout: float | None = None) -> Any:
        return raise_first(await self._send(key, lines, [args], timeout))[0]

    async def _send(
        self,
        key: str,
        lines: Callable[[_Member], Calls],
        commands: Sequence[Sequence[Any]],
        timeout: float | None,
    ) -> list[Any]:
        slot = slot_of(key)
        if not self._slots.members:
            await self._learn()
        address, asks = self._slots.owner(slot), False
        replies: list[Any] = []
        for _ in range(_MAX_TRIES):
            if address is None:
                raise redis.exceptions.SlotNotCoveredError(f"no member of the Cluster serves slot {slot}")
            replies = await self._send_to(self._member(address), lines, commands, timeout, asks=asks)
            error = next((one for one in replies if isinstance(one, _REDIRECTIONS)), None)
            if error is None:
                break
            asks = False
            if isinstance(error, redis.exceptions.MovedError):
                address = self._slots.moved(slot, error.host, error.port, address)
            elif isinstance(error, redis.exceptions.AskError):
                address, asks = (error.host or address[0], error.port), True
            else:
                await asyncio.sleep(_TRY_AGAIN_S)
        return replies

    async def _send_to(
        self,
        member: _Member,
        lines: Callable[[_Member], Calls],
        commands: Sequence[Sequence[Any]],
        timeout: float | None,
        *,
        asks: bool,
    ) -> list[Any]:
        if member.error is not None:
            raise NotSent(str(member.error))
        try:
            if asks:
                asking = [one for command in commands for one in (("ASKING",), command)]
                return (await lines(member).send(asking, timeout=timeout))[1::2]
            return await lines(member).send(commands, timeout=timeout)
        except LoopBlocked:
            # That says nothing of the member.
            raise
        except _UNREACHABLE as error:
            member.error = error
            if not self._is_closed and (member.probe is None or member.probe.done()):
                member.probe = asyncio.create_task(self._probe(member), name="asyncjobs-cluster-probe")
            raise

    # -- members

    def _member(self, address: Address) -> _Member:
        member = self._members.get(address)
        if member is None:
            if self._is_closed:
                raise closed()
            member = self._members[address] = _Member(self._settings.of_one_node(*address), self._hot)
        return member

    async def _probe(self, member: _Member) -> None:
        """Try to reach ``member`` until it answers, or is none any longer; others may take its slots over meanwhile."""
        failures = 0
        while member in self._members.values():
            with contextlib.suppress(*_ANY_ERROR):
                await self._learn()
            try:
                await member.waits.call("PING")
            except _ANY_ERROR:
                failures += 1
                await asyncio.sleep(pause_after(failures, BROKER_PAUSES_S))
            else:
                break
        member.error = None

    async def _learn(self) -> None:
        """Ask for the slots."""
        async with self._learning:
            known = {*self._slots.members, *self._settings.nodes}
            lost = {address for address, member in self._members.items() if member.error is not None}
            addresses = sorted(known - lost or known)
            asked = random.sample(addresses, min(_ASKED_AT_ONCE, len(addresses)))
            asks = [asyncio.create_task(self._ask(address)) for address in asked]
            try:
                self._slots = await _first(asks)
            finally:
                for ask in asks:
                    ask.cancel()
                await asyncio.gather(*asks, return_exceptions=True)
            for address in self._members.keys() - self._slots.members:
                await self._members.pop(address).close()

    async def _ask(self, address: Address) -> Slots:
        return Slots(await self._member(address).waits.call("CLUSTER", "SLOTS"), address)

    async def nodes(self) -> list[Node]:
        """Return the primaries."""
        if not self._slots.members:
            await self._learn()
        return [self._member(address) for address in self._slots.primaries()]

    async def infos(self) -> list[dict[str, str]]:
        """Return the fields of ``INFO`` of each primary that can be reached; raise if none can."""
        found = await asyncio.gather(*(node.info() for node in await self.nodes()), return_exceptions=True)
        infos = [one for one in found if isinstance(one, dict)]
        if not infos:
            raise next(
                (one for one in found if isinstance(one, BaseException)),
                redis.exceptions.SlotNotCoveredError("no member of the Cluster serves any slot"),
            )
        return infos

    async def connection(self) -> Any:
        """Return a connection to subscribe with, of any member, since each message reaches all; not yet connected."""
        if not self._slots.members:
            await self._learn()
        members = [self._member(address) for address in self._slots.members]
        return random.choice([one for one in members if one.error is None] or members).connection()

    async def close(self) -> None:
        """Give up the connections; further calls fail."""
        self._is_closed = True
        probes = [member.probe for member in self._members.values() if member.probe is not None]
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)
        await asyncio.gather(*(member.close() for member in self._members.values()))


_REDIRECTIONS = (redis.exceptions.AskError, redis.exceptions.TryAgainError)


def _commands(member: _Member) -> Calls:
    return member.commands


def _waits(member: _Member) -> Calls:
    return member.waits


async def _first(asks: Sequence[asyncio.Task[Slots]]) -> Slots:
    """Return the first answer; raise the last error if there is none."""
    failure: BaseException | None = None
    for ask in asyncio.as_completed(asks):
        try:
            return await ask
        except _ANY_ERROR as error:
            failure = error
    assert failure is not None
    raise failure
