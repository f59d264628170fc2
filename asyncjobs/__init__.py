"""Background jobs for Python's async world: typed, at-least-once, fast, over Redis.

Everything a program needs is here; ``asyncjobs.testing`` is for tests, ``asyncjobs.ports`` for authors of brokers.
"""

from asyncjobs.app import App
from asyncjobs.app.stats import MinuteStats, QueueStats, Stats, TenantQueueStats, TenantStats, WorkerStats
from asyncjobs.app.verbs.schedules import ScheduleInfo
from asyncjobs.core.job import Job
from asyncjobs.core.priority import Priority
from asyncjobs.core.retry import RetryPolicy
from asyncjobs.core.states import JobState
from asyncjobs.core.tenancy import TenantContext
from asyncjobs.errors import (
    AppNotOpen,
    ArgumentsError,
    AsyncJobsError,
    BrokerError,
    BrokerRefused,
    BrokerUnavailable,
    ConfigurationError,
    DefinitionError,
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
from asyncjobs.jobs.definition import JobDefinition
from asyncjobs.jobs.events import JobEvent, Progress
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.registry import job
from asyncjobs.jobs.request import JobRequest, Sending
from asyncjobs.jobs.resources import Inject, resource
from asyncjobs.jobs.steering import Cancel, Discard, Retry, Snooze
from asyncjobs.jobs.tenant_scope import current_tenant, tenant_scope
from asyncjobs.middleware.base import Middleware
from asyncjobs.worker.worker import Worker

__all__ = [
    "App",
    "AppNotOpen",
    "ArgumentsError",
    "AsyncJobsError",
    "BrokerError",
    "BrokerRefused",
    "BrokerUnavailable",
    "Cancel",
    "ConfigurationError",
    "DefinitionError",
    "Discard",
    "Inject",
    "InvalidTransition",
    "Job",
    "JobCancelled",
    "JobContext",
    "JobDefinition",
    "JobEvent",
    "JobFailed",
    "JobHandle",
    "JobRequest",
    "JobState",
    "Middleware",
    "NewerVersion",
    "MinuteStats",
    "PartlySent",
    "PayloadTooLarge",
    "Priority",
    "Progress",
    "QueueStats",
    "ResultError",
    "ResultExpired",
    "ResultTimeout",
    "Retry",
    "RetryPolicy",
    "ScheduleInfo",
    "Sending",
    "Snooze",
    "Stats",
    "TenantContext",
    "TenantError",
    "TenantQueueStats",
    "TenantStats",
    "TenantSuspended",
    "UnknownJob",
    "UnknownJobName",
    "UnknownSchedule",
    "UnknownTenant",
    "Worker",
    "WorkerStats",
    "current_job",
    "current_tenant",
    "job",
    "resource",
    "tenant_scope",
]

__version__ = "0.1.0"


def _say_where_exported() -> None:
    """Let what is exported say that it comes from here, so that files may move.

    Errors stay in ``asyncjobs.errors``, which is public too and which is stored with an error's type. So do structs in
    their modules, where msgspec looks up their annotations.
    """
    for name in __all__:
        value = globals()[name]
        if value.__module__ != "asyncjobs.errors" and not hasattr(value, "__struct_fields__"):
            value.__module__ = __name__


_say_where_exported()
