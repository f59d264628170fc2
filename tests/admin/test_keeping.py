"""What open pages share for some seconds: each caller only what is its own."""

from __future__ import annotations

from typing import Any

import pytest

from asyncjobs import App
from asyncjobs.admin import Access
from asyncjobs.admin.api.route import Call, NoQuery
from asyncjobs.admin.dashboard import keeping
from asyncjobs.admin.dashboard.keeping import kept

pytestmark = pytest.mark.anyio


class Source:
    """Counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0

    async def read(self) -> int:
        self.reads += 1
        return self.reads


def caller(app: App, **access: Any) -> Call[NoQuery]:
    return Call(app, Access("ada", **access), {}, NoQuery())


async def test_it_is_read_once_for_callers_who_see_the_same() -> None:
    app, source = App("memory://"), Source()
    assert await kept(caller(app), ("loads",), 60, source.read) == 1
    assert await kept(caller(app), ("loads",), 60, source.read) == 1
    assert await kept(caller(app), ("charts", "1h"), 60, source.read) == 2
    for access in ({"queues": ["emails"]}, {"tenants": ["acme"]}, {"role": "admin"}):
        before = source.reads
        assert await kept(caller(app, **access), ("loads",), 60, source.read) == before + 1
    assert await kept(caller(App("memory://")), ("loads",), 60, source.read) == source.reads
    assert await kept(caller(app), ("loads",), 0, source.read) == source.reads


async def test_so_many_answers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_MAX_KEPT", 3)
    app, source = App("memory://"), Source()
    for number in range(5):
        await kept(caller(app), (number,), 60, source.read)
    assert await kept(caller(app), (4,), 60, source.read) == 5
    assert await kept(caller(app), (0,), 60, source.read) == 6
