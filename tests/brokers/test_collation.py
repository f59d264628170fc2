"""Scripts on a server whose locale orders texts in another way than by their bytes, as those of most machines do."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest

from asyncjobs.testing.conformance.grouping import Grouping
from asyncjobs.testing.conformance.holding import Holding
from asyncjobs.testing.conformance.lining import Lining
from asyncjobs.testing.conformance.paging import Paging
from asyncjobs.testing.conformance.tenants import Tenants
from asyncjobs.testing.conformance.turning import Turning
from tests.conformance.kits import RedisKit
from tests.servers import Server, find_binary

_LOCALE = "en_US.UTF-8"


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server in whose Lua 'a' comes before 'B'."""
    folder = tmp_path_factory.mktemp("locales")
    localedef = shutil.which("localedef")
    if localedef is None:
        pytest.skip("no localedef on the PATH, to make a locale with")
    made = subprocess.run(
        [localedef, "-i", "en_US", "-f", "UTF-8", str(folder / _LOCALE)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"localedef can't make {_LOCALE} here: {made.stderr.strip()}")
    running = Server(find_binary(), environment={"LOCPATH": str(folder), "LC_ALL": _LOCALE})
    with contextlib.closing(running), contextlib.closing(running.client()) as client:
        assert client.eval("return 'a' < 'B'", 0) == 1
        yield running


class TestByTheRulesOfEnglish(Paging, Tenants, Grouping, Holding, Lining, Turning):
    @pytest.fixture
    async def kit(self, english: Server) -> AsyncIterator[RedisKit]:
        kit = RedisKit(english)
        await kit.broker.open()
        yield kit
        await kit.broker.close()
        kit.close()
