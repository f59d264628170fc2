"""Background jobs for Python's async world: typed, at-least-once, fast, over Redis.

Everything a program needs is here; ``asyncjobs.testing`` is for tests, ``asyncjobs.ports`` for authors of brokers.
"""

from asyncjobs.app import App
from asyncjobs.context import JobContext, current_job
from asyncjobs.control import Cancel, Discard, Retry, Snooze
from asyncjobs.core.job import Job
from asyncjobs.core.priority import Priority
from asyncjobs.core.retry import RetryPolicy
from asyncjobs.core.states import JobState
from asyncjobs.core.tenancy import TenantContext
from asyncjobs.definition import JobDefinition
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
from asyncjobs.events import JobEvent, Progress
from asyncjobs.handle import JobHandle
from asyncjobs.injection.marker import Inject, resource
from asyncjobs.middleware.base import Middleware
from asyncjobs.overview import QueueStats, Stats, TenantQueueStats, TenantStats, WorkerStats
from asyncjobs.registry import job
from asyncjobs.schedules import ScheduleInfo
from asyncjobs.sending import JobRequest, Sending
from asyncjobs.tenancy.scope import current_tenant, tenant_scope
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
