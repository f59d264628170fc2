"""TLS: the server's certificate is checked, clients show theirs, and each connection of a worker is encrypted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest

from asyncjobs import App, BrokerRefused, BrokerUnavailable, ConfigurationError
from asyncjobs.settings import load_settings
from tests.security.certificates import Authority, tls_door
from tests.servers import LANES, Server, form_cluster, free_port
from tests.waiting import SOON, until_workers

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "authority")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "stranger")


@pytest.fixture
async def port(redis_server: Server, redis_url: str, authority: Authority) -> AsyncIterator[int]:
    """The port of a server with TLS, whose certificate is for 127.0.0.1."""
    async with tls_door(redis_server.port, authority.certificate("server", "127.0.0.1")) as port:
        yield port


@pytest.fixture
async def strict_port(redis_server: Server, redis_url: str, authority: Authority) -> AsyncIterator[int]:
    """The same, of a server that wants to know its clients."""
    files = authority.certificate("strict", "127.0.0.1")
    async with tls_door(redis_server.port, files, clients=authority.file) as port:
        yield port


def url(port: int, host: str = "127.0.0.1", **options: Path) -> str:
    return f"rediss://{host}:{port}/0?{query(**options)}"


def query(**options: Path) -> str:
    return "&".join(f"{name}={quote(str(path))}" for name, path in options.items())


async def _works(app: App) -> None:
    @app.job
    async def work(text: str) -> str:
        return text

    async with app, app.worker():
        # Over the heartbeat's own connection too, which is of a thread.
        await until_workers(app, 1)
        assert await (await work.delay("a")).result(SOON) == "a"


async def test_jobs_run_over_tls_with_an_authority_of_ones_own(port: int, authority: Authority) -> None:
    await _works(App(url(port, ssl_ca_certs=authority.file), lease=1))


async def test_the_authority_may_stand_in_the_environment(
    port: int, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASYNCJOBS_SSL_CA_CERTS", str(authority.file))
    async with App(f"rediss://127.0.0.1:{port}"):
        pass


async def test_a_client_shows_its_certificate(strict_port: int, authority: Authority) -> None:
    certificate, key = authority.certificate("client")
    options = {"ssl_ca_certs": authority.file, "ssl_certfile": certificate, "ssl_keyfile": key}
    await _works(App(url(strict_port, **options), lease=1))


async def test_files_are_read_once_for_all_connections_and_again_once_they_are_renewed(
    port: int, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    monkeypatch.setattr(ssl, "create_default_context", lambda make=ssl.create_default_context: made.append(1) or make())
    file = tmp_path / "authority.pem"
    file.write_bytes(authority.file.read_bytes())

    async def reads() -> int:
        made.clear()
        async with App(url(port, ssl_ca_certs=file)) as app:
            await asyncio.gather(*(app.stats() for _ in range(20)))
        return len(made)

    assert await reads() == 1
    assert await reads() == 0
    os.utime(file, ns=(1, 1))
    assert await reads() == 1


async def test_a_client_without_a_certificate_is_refused(strict_port: int, authority: Authority) -> None:
    with pytest.raises((BrokerRefused, BrokerUnavailable), match=r"\?ssl_certfile="):
        async with App(url(strict_port, ssl_ca_certs=authority.file)):
            pass


async def test_a_server_of_another_authority_is_refused(port: int, stranger: Authority) -> None:
    for options in ({}, {"ssl_ca_certs": stranger.file}):
        with pytest.raises(BrokerRefused, match=r"can't be trusted.*\?ssl_ca_certs=/path"):
            async with App(url(port, **options)):
                pass


async def test_a_server_of_another_name_is_refused(port: int, authority: Authority) -> None:
    with pytest.raises(BrokerRefused, match=r"can't be trusted.*Connect by a name that stands in"):
        async with App(url(port, "localhost", ssl_ca_certs=authority.file)):
            pass


async def test_a_file_that_is_not_there_is_named_as_the_cause(port: int, tmp_path: Path) -> None:
    with pytest.raises(BrokerRefused, match="Check the files of ssl_ca_certs"):
        async with App(url(port, ssl_ca_certs=tmp_path / "absent.pem")):
            pass


def test_the_files_of_tls_need_tls() -> None:
    with pytest.raises(ConfigurationError, match=r"without TLS, so it can't have ssl_ca_certs: expected rediss"):
        load_settings("redis://h?ssl_ca_certs=/ca.pem", {}, {})
    assert load_settings("memory://", {}, {"ASYNCJOBS_SSL_CA_CERTS": "/ca.pem"}).server.scheme == "memory"


# -- servers that speak TLS themselves, where there is one that can


class Native(NamedTuple):
    """A server that can do TLS, and its options; it wants to know its clients."""

    binary: Path
    options: dict[str, Path]
    shown: dict[str, Path]
    """What a client that it knows gives in the URL."""

    def start(self, stack: contextlib.ExitStack, *arguments: str) -> tuple[Server, int]:
        """Start one, and return it with its port of TLS; it has one without for the test."""
        port = free_port()
        files = (part for name, path in self.options.items() for part in (f"--{name}", str(path)))
        running = Server(self.binary, "--tls-port", str(port), *files, *arguments)
        stack.callback(running.close)
        return running, port


@pytest.fixture(scope="module")
def native(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Native:
    certificate, key = authority.certificate("native", "127.0.0.1")
    options = {"tls-cert-file": certificate, "tls-key-file": key, "tls-ca-cert-file": authority.file}
    own, own_key = authority.certificate("native-client")
    shown = {"ssl_ca_certs": authority.file, "ssl_certfile": own, "ssl_keyfile": own_key}
    for lane in LANES:
        if lane.binary is None or "--cluster-enabled" in lane.arguments:
            continue
        # Tried out first, since one that can't doesn't start.
        files = (part for name, path in options.items() for part in (f"--{name}", str(path)))
        ports = ("--port", "0", "--tls-port", str(free_port()))
        folder = tmp_path_factory.mktemp("tried")
        tried = subprocess.Popen(
            [str(lane.binary), *ports, "--save", "", "--dir", str(folder), *files],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            tried.wait(1.5)
            continue
        tried.kill()
        tried.wait(SOON)
        return Native(lane.binary, options, shown)
    pytest.skip("no server here can do TLS")


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


async def test_jobs_run_on_a_server_with_tls(native: Native, authority: Authority, stack: contextlib.ExitStack) -> None:
    _, port = native.start(stack)
    await _works(App(url(port, **native.shown), lease=1))
    with pytest.raises((BrokerRefused, BrokerUnavailable), match=r"\?ssl_certfile="):
        async with App(url(port, ssl_ca_certs=authority.file)):
            pass


async def test_jobs_run_on_a_primary_with_tls_that_a_sentinel_names(
    native: Native, stranger: Authority, stack: contextlib.ExitStack
) -> None:
    _, port = native.start(stack)
    files = [f"{name} {path}" for name, path in native.options.items()]
    # It is asked without TLS, and watches the primary with it.
    config = (f"sentinel monitor main 127.0.0.1 {port} 1", "tls-replication yes", *files)
    watcher = Server(native.binary, *config, is_sentinel=True)
    stack.callback(watcher.close)
    service = f"rediss+sentinel://127.0.0.1:{watcher.port}/main?"
    await _works(App(service + query(**native.shown), lease=1))
    with pytest.raises(BrokerRefused, match="can't be trusted"):
        async with App(service + query(ssl_ca_certs=stranger.file)):
            pass


async def test_jobs_run_on_a_cluster_with_tls(native: Native, stranger: Authority, stack: contextlib.ExitStack) -> None:
    started = [native.start(stack, "--cluster-enabled", "yes", "--tls-cluster", "yes") for _ in range(3)]
    ports = [port for _, port in started]
    form_cluster([node for node, _ in started], 3, ports)
    members = f"rediss+cluster://{','.join(f'127.0.0.1:{port}' for port in ports)}/?"
    app = App(members + query(**native.shown), lease=1)

    @app.job
    async def work(number: int) -> int:
        return number

    # Enough of them that each member has one.
    queues = [f"queue{number}" for number in range(12)]
    async with app, app.worker(queues=queues):
        handles = [await work.with_options(queue=queue).delay(number) for number, queue in enumerate(queues)]
        assert [await handle.result(SOON) for handle in handles] == [*range(12)]
    assert all(_keys_of(node) for node, _ in started)
    with pytest.raises(BrokerRefused, match="can't be trusted"):
        async with App(members + query(ssl_ca_certs=stranger.file)):
            pass


def _keys_of(node: Server) -> int:
    with contextlib.closing(node.client()) as client:
        return int(client.dbsize())
