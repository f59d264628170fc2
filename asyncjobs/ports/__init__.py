"""The ports between what asyncjobs decides and what does the I/O, and the records that pass through them.

A broker serves seven kinds of callers, each with a port of its own: senders (``Intake``), workers (``Work``), operators
(``JobStore``), statistics (``JobStats``), schedules (``ScheduleStore``), who looks after it all (``Operations``), and
who limits it (``Limits``).
``Intake`` and ``Work`` together are a ``JobQueue``. A ``Broker`` is an object with all seven ports. The suite
``asyncjobs.testing.conformance`` tests what the ports promise; every broker passes the suite.
"""

from __future__ import annotations

from asyncjobs.core.uniqueness import UniqueRule
from asyncjobs.ports.broker import Broker, JobQueue
from asyncjobs.ports.clock import Clock, SystemClock
from asyncjobs.ports.dead import DeadGroup, GroupState
from asyncjobs.ports.figures import (
    Held,
    LimitFigures,
    ParkedJobs,
    QueueFigures,
    RunningJob,
    TenantEnd,
    TenantFigures,
    WorkerInfo,
)
from asyncjobs.ports.gates import GateFigures, TurnFigures
from asyncjobs.ports.intake import Intake
from asyncjobs.ports.limits import Limits
from asyncjobs.ports.operations import AuditRecord, CatalogueEntry, Operations, ServerNode, ServerState
from asyncjobs.ports.records import (
    CancelReply,
    Claim,
    Claimed,
    ClaimRequest,
    EditReply,
    Emission,
    EnqueueReply,
    EventPage,
    Extension,
    FireReply,
    Firing,
    Hold,
    JobPage,
    Lease,
    ListedPlace,
    NewJob,
    Place,
    Recovery,
    ScheduleList,
    StoredSchedule,
    Unparking,
)
from asyncjobs.ports.schedules import ScheduleStore
from asyncjobs.ports.search import JobLocation, Sample, ScanPage, ScanRequest
from asyncjobs.ports.series import GaugeReading, Gauges, NameHour, PeriodFigures, RunCounts, Runs, Series, Step
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
    "DeadGroup",
    "EditReply",
    "Emission",
    "EnqueueReply",
    "EventPage",
    "Extension",
    "FireReply",
    "Firing",
    "Held",
    "Gauges",
    "GroupState",
    "Hold",
    "Intake",
    "JobLocation",
    "JobPage",
    "JobQueue",
    "JobStats",
    "JobStore",
    "Lease",
    "LeaseKeeper",
    "LimitFigures",
    "Limits",
    "NameHour",
    "NewJob",
    "ParkedJobs",
    "PeriodFigures",
    "ListedPlace",
    "Place",
    "QueueFigures",
    "Recovery",
    "RunningJob",
    "Sample",
    "ScanPage",
    "ScanRequest",
    "RunCounts",
    "Runs",
    "GateFigures",
    "GaugeReading",
    "ScheduleList",
    "ScheduleStore",
    "Series",
    "Step",
    "StoredSchedule",
    "SystemClock",
    "TenantEnd",
    "TenantFigures",
    "TurnFigures",
    "UniqueRule",
    "Unparking",
    "TenantResolver",
    "Work",
    "WorkerInfo",
    "AuditRecord",
    "CatalogueEntry",
    "Operations",
    "ServerNode",
    "ServerState",
]
