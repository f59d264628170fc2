"""The ports between what asyncjobs decides and what does the I/O, and the records that pass through them.

A broker serves five kinds of callers, each with a port of its own: senders (``Intake``), workers (``Work``; the two
together are a ``JobQueue``), operators (``JobStore``), whatever shows figures (``JobStats``), and schedules
(``ScheduleStore``). A ``Broker`` is all of them in one object. ``asyncjobs.testing.conformance`` tests what the verbs
promise; every broker passes it.
"""

from __future__ import annotations

from asyncjobs.ports.broker import Broker, JobQueue
from asyncjobs.ports.clock import Clock, SystemClock
from asyncjobs.ports.intake import Intake
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
    Hold,
    JobPage,
    Lease,
    MinuteFigures,
    NewJob,
    Place,
    QueueFigures,
    Recovery,
    ScheduleList,
    StoredSchedule,
    TenantFigures,
    WorkerInfo,
)
from asyncjobs.ports.schedules import ScheduleStore
from asyncjobs.ports.stats import JobStats
from asyncjobs.ports.store import JobStore
from asyncjobs.ports.tenants import TenantResolver
from asyncjobs.ports.work import LeaseKeeper, Work

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
    "Extension",
    "FireReply",
    "Firing",
    "Hold",
    "Intake",
    "JobPage",
    "JobQueue",
    "JobStats",
    "JobStore",
    "Lease",
    "LeaseKeeper",
    "MinuteFigures",
    "NewJob",
    "Place",
    "QueueFigures",
    "Recovery",
    "ScheduleList",
    "ScheduleStore",
    "StoredSchedule",
    "SystemClock",
    "TenantFigures",
    "TenantResolver",
    "Work",
    "WorkerInfo",
]
