"""The keys of encrypted jobs: how they are given, shown nowhere, rotated, and missed."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from asyncjobs import App, EncryptionKey
from asyncjobs.app.deploy_check import check_jobs
from asyncjobs.errors import ConfigurationError
from asyncjobs.settings import load_settings
from tests.security.encrypting import MakeApp, request, run, run_one, send
from tests.security.keys import CARD, NEW, OLD, OTHER, key
from tests.waiting import SOON

pytestmark = pytest.mark.anyio


async def test_keys_are_rotated_without_a_job_lost(make: MakeApp) -> None:
    async with make(OLD) as before:
        first = await send(before, CARD)
        done = await run_one(before, CARD, name="refund")
        first = await send(before, CARD)
    async with make(NEW, OLD) as both:
        assert await both.handle(done.id).result(SOON) == f"refunded {CARD}"
        second = await send(both, CARD)
        await run(both)
        assert await both.handle(first.id).result(SOON) == f"charged {CARD}"
    async with make(NEW) as after:
        # What the second program has written, it has written with the new key.
        for handle in (first, second):
            assert await after.handle(handle.id).result(SOON) == f"charged {CARD}"


async def test_a_job_whose_key_is_missing_waits_among_the_dead_with_the_id_of_the_key(make: MakeApp) -> None:
    async with make(NEW) as sender, make(OLD) as late, make() as blind:
        for worker in (late, blind):
            handle = await send(sender, CARD)
            await run(worker)
            [dead] = await blind.failed_jobs()
            assert dead.id == handle.id
            assert dead.errors[-1].type == "EncryptionError"
            assert f"encrypted with key {EncryptionKey(NEW).id}" in dead.errors[-1].message
            assert "ASYNCJOBS_ENCRYPTION_KEYS" in dead.errors[-1].message
            # With the key it runs, as it was sent.
            await blind.retry_job(handle.id)
            await run(sender)
            assert await sender.handle(handle.id).result(SOON) == f"charged {CARD}"


async def test_a_schedule_whose_key_is_missing_stays_due(make: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    async with make(NEW) as sender, make(OTHER, scheduler_interval=0.1) as late:
        await sender.add_schedule("often", request(sender, CARD), every=1)
        async with late.worker():
            async with asyncio.timeout(SOON):
                while "the schedule often can't fire here" not in caplog.text:
                    await asyncio.sleep(0.02)
        assert (await sender.find_schedule("often")).last_at is None
        assert await sender.failed_jobs() == []


async def test_the_check_before_a_deploy_tells_of_missing_keys(make: MakeApp) -> None:
    async with make(OLD) as before, make(NEW) as after:
        await send(before, CARD)
        await send(before, CARD)
        assert (await check_jobs(before))[0] == []
        [problem] = (await check_jobs(after))[0]
        assert problem.count == 2
        assert f"encrypted with key {EncryptionKey(OLD).id}" in problem.reason


@pytest.mark.parametrize("given", ["x", "", key(1)[:-8], f"{key(1)},{key(1)}", [b"x" * 32], 7])
def test_a_key_that_is_none_is_refused_without_being_shown(given: Any) -> None:
    for code, environ in (({"encryption_keys": given}, {}), ({}, {"ASYNCJOBS_ENCRYPTION_KEYS": str(given)})):
        if environ and not given:
            continue
        with pytest.raises(ConfigurationError) as caught:
            load_settings("memory://", code, environ)
        assert "encryption_keys=***" in str(caught.value)
        assert "openssl rand -base64 32" in str(caught.value)


def test_keys_are_read_from_the_environment_and_shown_nowhere() -> None:
    url_safe = NEW.translate(str.maketrans("+/", "-_"))
    for text in (f"{NEW},{OLD}", f" {url_safe} , {OLD}\n"):
        settings = load_settings("memory://", {}, {"ASYNCJOBS_ENCRYPTION_KEYS": text})
        assert settings.encryption_keys == (EncryptionKey(NEW), EncryptionKey(OLD))
        for secret in (NEW, OLD, repr(settings.encryption_keys[0].secret)[2:-1]):
            assert secret not in f"{settings!r} {settings}"
        assert EncryptionKey(NEW).id in repr(settings)


@pytest.mark.parametrize("keys", [None, ""])
def test_encryption_that_is_asked_for_without_a_key_is_refused(keys: str | None) -> None:
    environ = {"ASYNCJOBS_ENCRYPTION": "required"} | ({} if keys is None else {"ASYNCJOBS_ENCRYPTION_KEYS": keys})
    with pytest.raises(ConfigurationError, match="without a key, so nothing would be encrypted: set encryption_keys"):
        load_settings("memory://", {}, environ)


def test_without_cryptography_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(ConfigurationError, match=r"asyncjobs-redis\[crypto\]"):
        App("memory://", encryption_keys=[NEW])
    App("memory://")
