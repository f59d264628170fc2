"""The ports between what asyncjobs decides and what does the I/O, and the records that pass through them.

A broker is a ``JobQueue``, ``JobStore``, ``JobStats``, ``EventStore`` and ``ScheduleStore`` in one object. What each
verb promises is written in ``broker.py`` and tested by ``asyncjobs.testing.conformance``, which every broker passes.
"""

from __future__ import annotations

from asyncjobs.ports.broker import Broker, EventStore, JobQueue, JobStats, JobStore, LeaseKeeper, ScheduleStore
from asyncjobs.ports.records import (
    CancelReply,
    Claim,
    Claimed,
    ClaimRequest,
    EditReply,
    Emission,
    EventPage,
    Extension,
    FireReply,
    Firing,
    Lease,
    NewJob,
    Place,
    QueueFigures,
    Recovery,
    ScheduleList,
    StoredSchedule,
    Suspendable,
    TenantFigures,
    WorkerInfo,
)
from asyncjobs.ports.surroundings import Clock, TenantResolver

__all__ = [
    "Broker",
    "CancelReply",
    "Claim",
    "ClaimRequest",
    "Claimed",
    "Clock",
    "EditReply",
    "Emission",
    "EventPage",
    "EventStore",
    "Extension",
    "FireReply",
    "Firing",
    "JobQueue",
    "JobStats",
    "JobStore",
    "Lease",
    "LeaseKeeper",
    "NewJob",
    "Place",
    "QueueFigures",
    "Recovery",
    "ScheduleList",
    "ScheduleStore",
    "StoredSchedule",
    "Suspendable",
    "TenantFigures",
    "TenantResolver",
    "WorkerInfo",
]
