"""Resources whose openings and closings are noted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from asyncjobs import Inject, JobContext, resource
from tests.waiting import Notes

__all__ = ["Session", "events", "pool", "session", "transaction"]


class Session:
    """Something that is opened and closed."""

    def __init__(self, name: str = "session") -> None:
        self.name = name


#: What happened to resources; cleared by each test.
events: Notes[str] = Notes()


@resource(scope="worker")
async def pool() -> AsyncIterator[str]:
    events.append("pool open")
    yield "pool"
    events.append("pool closed")


async def session(source: str = Inject(pool)) -> AsyncIterator[Session]:
    events.append("session open")
    try:
        yield Session(f"session of {source}")
    except BaseException as error:
        events.append(f"session sees {type(error).__name__}")
        raise
    finally:
        await asyncio.sleep(0.01)
        events.append("session closed")


def transaction(job: JobContext, db: Session = Inject(session)) -> Iterator[str]:
    events.append("transaction open")
    yield f"transaction {job.attempt} in {db.name}"
    events.append("transaction closed")
