"""TLS: the server's certificate is checked, clients show theirs, and each connection of a worker is encrypted."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from asyncjobs import App, BrokerRefused, BrokerUnavailable, ConfigurationError
from asyncjobs.settings import load_settings
from tests.security.certificates import Authority, tls_door
from tests.servers import LANES, Server, free_port
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
    query = "&".join(f"{name}={quote(str(path))}" for name, path in options.items())
    return f"rediss://{host}:{port}/0?{query}"


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


# -- a server that speaks TLS itself, where there is one


async def test_jobs_run_on_a_server_with_tls(authority: Authority, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        port = _server_with_tls(stack, authority, tmp_path)
        certificate, key = authority.certificate("native-client")
        options = {"ssl_ca_certs": authority.file, "ssl_certfile": certificate, "ssl_keyfile": key}
        await _works(App(url(port, **options), lease=1))
        with pytest.raises((BrokerRefused, BrokerUnavailable), match=r"\?ssl_certfile="):
            async with App(url(port, ssl_ca_certs=authority.file)):
                pass


def _server_with_tls(stack: contextlib.ExitStack, authority: Authority, folder: Path) -> int:
    """Start the first server that can do TLS, which wants to know its clients; return its port of TLS."""
    certificate, key = authority.certificate("native", "127.0.0.1")
    for lane in LANES:
        if lane.binary is None or "--cluster-enabled" in lane.arguments:
            continue
        port = free_port()
        tls = ("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
        arguments = (*tls, "--tls-ca-cert-file", str(authority.file))
        # Tried out first, since one that can't doesn't start.
        tried = subprocess.Popen(
            [str(lane.binary), "--port", "0", "--save", "", "--dir", str(folder), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            tried.wait(1.5)
            continue
        tried.kill()
        tried.wait(SOON)
        running = Server(lane.binary, *arguments)
        stack.callback(running.close)
        return port
    pytest.skip("no server here can do TLS")
