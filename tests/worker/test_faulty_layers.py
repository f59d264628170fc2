"""Layers that don't return the handles of what they send are named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from asyncjobs import App, ConfigurationError, JobRequest, Middleware
from asyncjobs.middleware import Send
from tests.waiting import SOON

pytestmark = pytest.mark.anyio


class Forgetful(Middleware):
    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> Any:
        await send(requests)


class ForgetfulInParts(Middleware):
    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> Any:
        if not requests:
            return
        try:
            async with asyncio.timeout(SOON):
                await send(requests)
        finally:
            await asyncio.sleep(0)


class Unawaited(Middleware):
    def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> Any:
        send(requests)


class Yielding(Middleware):
    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> Any:
        yield await send(requests)


@pytest.mark.parametrize("layer", [Forgetful, ForgetfulInParts, Unawaited, Yielding])
async def test_a_layer_whose_enqueue_returns_nothing_is_named_before_anything_is_sent(
    make_app: Callable[..., App], layer: type[Middleware]
) -> None:
    with pytest.raises(ConfigurationError, match=rf"{layer.__name__}.enqueue returns nothing.*return await send"):
        make_app(middleware=[layer()])


class Refusing(Middleware):
    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> Any:
        raise PermissionError("not today")


class Passing(Middleware):
    def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> Any:
        return send(requests)


async def test_a_layer_that_never_returns_or_returns_what_send_returned_is_none_of_these(
    make_app: Callable[..., App],
) -> None:
    refusing, passing = make_app(middleware=[Refusing()]), make_app(middleware=[Passing()])

    @refusing.job
    async def refused() -> None: ...

    @passing.job
    async def passed() -> None: ...

    async with refusing, passing:
        with pytest.raises(PermissionError):
            await refused.delay()
        await passed.delay()
        assert (await passing.queue_stats("default")).size == 1


class Sometimes(Middleware):
    """Returns what it is told to."""

    def __init__(self, returned: Any) -> None:
        self.returned = returned

    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> Any:
        return requests if self.returned == "requests" else self.returned


@pytest.mark.parametrize("returned", [None, 5, [], [None], "requests"])
async def test_a_layer_that_returns_no_handles_is_named(make_app: Callable[..., App], returned: Any) -> None:
    app = make_app(middleware=[Sometimes(returned)])

    @app.job
    async def work() -> None: ...

    async with app:
        with pytest.raises(ConfigurationError, match=r"Sometimes.enqueue returned .* for 1 requests"):
            await work.delay()
        with pytest.raises(ConfigurationError, match=r"Sometimes.enqueue returned .* for 1 requests"):
            await app.enqueue_many([work.request()])
