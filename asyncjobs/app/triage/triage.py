"""All rules together."""

from __future__ import annotations

from collections.abc import Iterator

from asyncjobs.app.triage.deaths import dead_in_queue
from asyncjobs.app.triage.finding import Facts, Finding
from asyncjobs.app.triage.queues import in_queue
from asyncjobs.app.triage.server import of_server
from asyncjobs.app.triage.workers import of_schedule, of_workers

__all__ = ["findings"]


def findings(facts: Facts) -> list[Finding]:
    """Return what is wrong, the worst first, and of the same level what is about most jobs."""
    return sorted(_all(facts), key=lambda one: (one.level != "bad", -one.count, one.queue, one.kind))


def _all(facts: Facts) -> Iterator[Finding]:
    for queue in facts.queues:
        yield from in_queue(queue, facts)
        yield from dead_in_queue(queue, facts)
    yield from of_workers(facts)
    for schedule in facts.schedules:
        yield from of_schedule(schedule, facts)
    yield from of_server(facts)
