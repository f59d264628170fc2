"""Background jobs for Python's async world: typed, at-least-once, fast, over Redis.

Everything a program needs is here; ``asyncjobs.testing`` is for tests, ``asyncjobs.ports`` for authors of brokers.
"""

from types import FunctionType
from typing import is_typeddict

from asyncjobs.app import App
from asyncjobs.app.acting import acting
from asyncjobs.app.audit import AuditEntry
from asyncjobs.app.gates import GateStats
from asyncjobs.app.load import Load, QueueLoad
from asyncjobs.app.reasons import Why, WhyKind, WhyReason
from asyncjobs.app.series import NameSeries, NameStats, QueueSeries
from asyncjobs.app.stats import (
    HoldStats,
    LimitStats,
    MinuteStats,
    ParkedReason,
    ParkedStats,
    QueueStats,
    Stats,
)
from asyncjobs.app.sync import SyncApp
from asyncjobs.app.tenants import TenantList, TenantQueueStats, TenantStats, TenantSummary
from asyncjobs.app.triage.finding import Evidence, Finding, FindingKind, ProblemLimits
from asyncjobs.app.turns import TurnStats
from asyncjobs.app.verbs.dead import DeadFilter
from asyncjobs.app.verbs.jobs import CancelResult, EditResult
from asyncjobs.app.verbs.operations import Deploy
from asyncjobs.app.verbs.paging import ListedState
from asyncjobs.app.verbs.schedules import ScheduleInfo, ScheduleRun
from asyncjobs.app.verbs.search import JobsFound
from asyncjobs.app.verbs.sweeping import LiveFilter, LiveState
from asyncjobs.app.worker_stats import WorkerJob, WorkerStats
from asyncjobs.core.duration import Duration
from asyncjobs.core.encrypted import EncryptionKey, EncryptionMode
from asyncjobs.core.gates import TENANT, By, Limit
from asyncjobs.core.job import Job
from asyncjobs.core.limits import Rate
from asyncjobs.core.options import Acks, CallOptions, DefinitionOptions, Durability, Executor, JobOptions, SendOptions
from asyncjobs.core.package import PACKAGE_VERSION
from asyncjobs.core.priority import Priority, PriorityName
from asyncjobs.core.record.envelope import Envelope, JobError
from asyncjobs.core.retry import Backoff, RetryPolicy, RetryRule
from asyncjobs.core.schedule import Missed, Timing
from asyncjobs.core.server import Server
from asyncjobs.core.settlement import HistoryEntry
from asyncjobs.core.states import JobState
from asyncjobs.core.tenancy import TenantContext
from asyncjobs.core.uniqueness import Debounce, OnConflict, Unique, Until
from asyncjobs.errors import (
    AlreadySent,
    AppNotOpen,
    ArgumentsError,
    AsyncJobsError,
    BrokerError,
    BrokerRefused,
    BrokerUnavailable,
    ConfigurationError,
    DefinitionError,
    EncryptionError,
    InvalidTransition,
    JobCancelled,
    JobFailed,
    NewerVersion,
    PartlySent,
    PayloadTooLarge,
    ResultError,
    ResultExpired,
    ResultTimeout,
    TenantError,
    TenantSuspended,
    UnknownJob,
    UnknownJobName,
    UnknownSchedule,
    UnknownTenant,
)
from asyncjobs.jobs.context import JobContext, current_job
from asyncjobs.jobs.definition import AsyncJobDefinition, JobCall, JobDefinition, SyncJobDefinition
from asyncjobs.jobs.events import EventKind, JobEvent, JobEvents, Progress
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.logs import JobFields, JsonLines
from asyncjobs.jobs.registry import JobDecorator, Registry, job
from asyncjobs.jobs.request import JobRequest, Sending
from asyncjobs.jobs.resources import Inject, ResourceScope, resource
from asyncjobs.jobs.secret import Secret
from asyncjobs.jobs.steering import Cancel, Discard, RateLimited, Retry, Snooze
from asyncjobs.jobs.tenant_scope import current_tenant, tenant_scope
from asyncjobs.jobs.values.hooks import Encoders
from asyncjobs.middleware.base import Middleware
from asyncjobs.settings import SettingOptions, Settings
from asyncjobs.worker.liveness.health import Health
from asyncjobs.worker.recycling import EndedBy
from asyncjobs.worker.worker import Worker

__all__ = [
    "Acks",
    "AlreadySent",
    "App",
    "AppNotOpen",
    "ArgumentsError",
    "AsyncJobDefinition",
    "AsyncJobsError",
    "AuditEntry",
    "Backoff",
    "BrokerError",
    "BrokerRefused",
    "BrokerUnavailable",
    "By",
    "CallOptions",
    "Cancel",
    "CancelResult",
    "ConfigurationError",
    "DeadFilter",
    "Debounce",
    "Deploy",
    "DefinitionError",
    "DefinitionOptions",
    "Discard",
    "Durability",
    "Duration",
    "EditResult",
    "EndedBy",
    "Encoders",
    "EncryptionError",
    "EncryptionKey",
    "EncryptionMode",
    "Envelope",
    "Evidence",
    "EventKind",
    "Executor",
    "Health",
    "HistoryEntry",
    "GateStats",
    "HoldStats",
    "Limit",
    "LimitStats",
    "Inject",
    "InvalidTransition",
    "Job",
    "JobCall",
    "JobCancelled",
    "JobContext",
    "JobDecorator",
    "JobDefinition",
    "JobError",
    "JobEvent",
    "JobEvents",
    "JobFailed",
    "JobFields",
    "JobHandle",
    "JobOptions",
    "JobRequest",
    "JobState",
    "JobsFound",
    "JsonLines",
    "ListedState",
    "LiveFilter",
    "LiveState",
    "Middleware",
    "MinuteStats",
    "Missed",
    "OnConflict",
    "NewerVersion",
    "ParkedReason",
    "ParkedStats",
    "PartlySent",
    "PayloadTooLarge",
    "Priority",
    "ProblemLimits",
    "Finding",
    "FindingKind",
    "PriorityName",
    "Progress",
    "QueueStats",
    "Registry",
    "ResourceScope",
    "ResultError",
    "ResultExpired",
    "ResultTimeout",
    "Retry",
    "RetryPolicy",
    "Rate",
    "RateLimited",
    "RetryRule",
    "ScheduleInfo",
    "ScheduleRun",
    "Secret",
    "SendOptions",
    "Sending",
    "Server",
    "SettingOptions",
    "Settings",
    "Snooze",
    "Stats",
    "SyncApp",
    "SyncJobDefinition",
    "TENANT",
    "TenantContext",
    "TenantError",
    "TenantList",
    "TenantQueueStats",
    "TenantStats",
    "TenantSummary",
    "TenantSuspended",
    "Timing",
    "TurnStats",
    "Unique",
    "UnknownJob",
    "UnknownJobName",
    "UnknownSchedule",
    "UnknownTenant",
    "Until",
    "Why",
    "WhyKind",
    "WhyReason",
    "Worker",
    "WorkerJob",
    "WorkerStats",
    "acting",
    "current_job",
    "current_tenant",
    "job",
    "resource",
    "tenant_scope",
    "Load",
    "QueueLoad",
    "NameSeries",
    "NameStats",
    "QueueSeries",
]

__version__ = PACKAGE_VERSION


def _say_where_exported() -> None:
    """Let what is exported say that it comes from here, so that files may move.

    Errors stay in ``asyncjobs.errors``, which is public too and which is stored with an error's type. So do structs and
    typed dicts in their modules, where their annotations are looked up.
    """
    for name in __all__:
        value = globals()[name]
        # Types made of others, such as a union, have no module of their own.
        is_movable = isinstance(value, type | FunctionType) and not is_typeddict(value)
        if is_movable and not hasattr(value, "__struct_fields__") and value.__module__ != "asyncjobs.errors":
            value.__module__ = __name__


_say_where_exported()
