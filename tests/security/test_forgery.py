"""What somebody who can write to Redis can't do without a key."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs import App, EncryptionError, EncryptionKey, Envelope, Job, JobState, Priority
from asyncjobs.core.encrypted import unpack
from asyncjobs.jobs.encryption import Encryption
from tests.apps import broker_of, prepared
from tests.security.encrypting import MakeApp, request, run, run_one, send
from tests.security.keys import CARD, NEW

pytestmark = pytest.mark.anyio


async def _forged(app: App, handle: Any, **changes: Any) -> Job:
    """Put the arguments of a job into another one, run it, and return it."""
    stored = await broker_of(app).find("default", handle.id)
    new = prepared(app, request(app, "harmless"))
    body = msgspec.msgpack.encode(msgspec.structs.replace(stored.envelope, **changes.pop("envelope", {})))
    forged = msgspec.structs.replace(new, **{"body": body, "id": stored.id, **changes})
    await app.cancel_job(handle.id)
    await app.delete_job(handle.id)
    assert await broker_of(app).enqueue([forged]) == [True]
    await run(app, forged.queue)
    return await app.find_job(forged.id, queue=forged.queue)


async def test_the_arguments_of_a_job_run_as_they_were_sent(make: MakeApp) -> None:
    # The forging itself is not what fails below.
    async with make(NEW) as app:
        job = await _forged(app, await send(app, CARD))
        assert job.result == f"charged {CARD}"


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "another"},
        {"queue": "another"},
        {"name": "refund"},
        {"tenant": "acme"},
        {"id": "@acme:another", "tenant": "acme"},
        {"envelope": {"keywords": ("card",)}},
    ],
    ids=str,
)
async def test_arguments_that_were_written_for_another_job_are_refused(make: MakeApp, changes: dict[str, Any]) -> None:
    async with make(NEW) as app:
        job = await _forged(app, await send(app, CARD), **changes)
        assert job.state.value == "failed"
        assert job.errors[-1].type == "EncryptionError"
        assert "written for another job" in job.errors[-1].message


async def test_a_result_of_another_job_is_refused(make: MakeApp) -> None:
    encryption = Encryption([EncryptionKey(NEW)], "required")
    async with make(NEW) as app:
        mine, other = await run_one(app, CARD), await run_one(app, "harmless")
        stored = await broker_of(app).find("default", mine.id)
        assert encryption.with_result(stored).result == f"charged {CARD}"
        for forged in (
            msgspec.structs.replace(stored, id=other.id),
            msgspec.structs.replace(stored, encoded_result=bytes(stored.envelope.arguments)),
        ):
            with pytest.raises(EncryptionError, match="written for another job"):
                encryption.with_result(forged)


async def test_a_result_or_an_event_that_anybody_has_written_is_not_shown(make: MakeApp) -> None:
    encryption = Encryption([EncryptionKey(NEW)], "required")
    lenient = Encryption([EncryptionKey(NEW)], "preferred")
    async with make(NEW) as app:
        mine = await run_one(app, CARD)
        stored = await broker_of(app).find("default", mine.id)
        forged = msgspec.structs.replace(stored, encoded_result=msgspec.msgpack.encode("forged"))
        assert encryption.shown(stored).result == f"charged {CARD}"
        assert encryption.shown(forged).encoded_result == b""
        assert lenient.shown(forged).result == "forged"
        event = msgspec.msgpack.encode([1, 2, 3])
        assert encryption.readable_event("default", mine.id, event) == b""
        assert lenient.readable_event("default", mine.id, event) == event


@given(st.data())
def test_no_byte_can_be_changed_or_cut_off_unnoticed(data: st.DataObject) -> None:
    encryption = Encryption([EncryptionKey(NEW)], "required")
    arguments = data.draw(st.binary(max_size=400))
    stored = bytearray(encryption.arguments_for("q", "id", "name", "", (), arguments))
    at = data.draw(st.integers(0, len(stored) - 1))
    if data.draw(st.booleans()):
        stored[at] ^= data.draw(st.integers(1, 255))
    else:
        del stored[at:]
    job = _job(bytes(stored))
    with pytest.raises(EncryptionError):
        encryption.readable(job)


@given(st.binary(max_size=2_000), st.sampled_from(["required", "preferred"]))
def test_what_is_encrypted_comes_back_and_never_looks_the_same(arguments: bytes, mode: Any) -> None:
    encryption = Encryption([EncryptionKey(NEW)], mode)
    first, second = (encryption.arguments_for("q", "id", "name", "", (), arguments) for _ in range(2))
    assert first != second
    assert unpack(first).nonce != unpack(second).nonce
    assert bytes(encryption.readable(_job(first)).envelope.arguments) == arguments


def _job(arguments: bytes) -> Job:
    return Job(
        id="id",
        name="name",
        queue="q",
        priority=Priority.NORMAL,
        state=JobState.PENDING,
        envelope=Envelope(arguments=msgspec.Raw(arguments)),
    )
