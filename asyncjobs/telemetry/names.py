"""Names of spans' and metrics' attributes and of metrics: those of the messaging conventions, and our own.

The source of the first is OpenTelemetry's Semantic Conventions for Messaging, v1.44. They are still in development, so
the names stand here and not in an import of ``opentelemetry-semantic-conventions``, whose modules for them are private.
Our own are all under ``asyncjobs.``.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ATTEMPT",
    "BATCH_COUNT",
    "DEATHS",
    "DEPTH",
    "DESTINATION",
    "ERROR_TYPE",
    "JOB_NAME",
    "LATENESS",
    "LIMIT",
    "LIMIT_IN_USE",
    "LIMIT_LINES",
    "LIMIT_SLOTS",
    "LIMIT_WAITING",
    "MESSAGE_ID",
    "OLDEST_WAIT",
    "OPERATION",
    "OPERATION_TYPE",
    "OUTCOME",
    "PRIORITY",
    "PROCESS",
    "PROCESS_DURATION",
    "REASON",
    "RECOVERIES",
    "REPAIRS",
    "RETRIES",
    "RETRYING",
    "SCHEDULE",
    "SCHEMA_URL",
    "SCOPE",
    "SEND",
    "SENT",
    "SLOTS",
    "STATE",
    "SYSTEM",
    "SYSTEM_NAME",
    "TENANT",
]

#: The instrumentation scope, and the version of the conventions that its names follow.
SCOPE: Final = "asyncjobs"
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"

# -- attributes of the conventions

SYSTEM: Final = "messaging.system"
SYSTEM_NAME: Final = "asyncjobs"
DESTINATION: Final = "messaging.destination.name"
OPERATION: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
MESSAGE_ID: Final = "messaging.message.id"
BATCH_COUNT: Final = "messaging.batch.message_count"
ERROR_TYPE: Final = "error.type"

#: The two operations, each its own type; they begin the spans' names.
SEND: Final = "send"
PROCESS: Final = "process"

# -- our own attributes

JOB_NAME: Final = "asyncjobs.job.name"
ATTEMPT: Final = "asyncjobs.job.attempt"
PRIORITY: Final = "asyncjobs.job.priority"
SCHEDULE: Final = "asyncjobs.schedule.id"
TENANT: Final = "asyncjobs.tenant"
#: How an attempt ended, as ``asyncjobs.telemetry.outcomes`` says it, and the reason that a handler gave.
OUTCOME: Final = "asyncjobs.outcome"
REASON: Final = "asyncjobs.outcome.reason"
#: The name of a limit, as ``Limit`` has it; never with a value, of which there may be millions.
LIMIT: Final = "asyncjobs.limit.name"
#: Of the depth of a queue: pending, scheduled, parked, running or failed.
STATE: Final = "asyncjobs.state"

# -- metrics of the conventions

SENT: Final = "messaging.client.sent.messages"
PROCESS_DURATION: Final = "messaging.process.duration"

# -- our own metrics

SLOTS: Final = "asyncjobs.slots.used"
LATENESS: Final = "asyncjobs.schedule.lateness"
DEPTH: Final = "asyncjobs.queue.depth"
RETRYING: Final = "asyncjobs.queue.retrying"
OLDEST_WAIT: Final = "asyncjobs.queue.oldest_wait"
LIMIT_IN_USE: Final = "asyncjobs.limit.in_use"
LIMIT_SLOTS: Final = "asyncjobs.limit.slots"
LIMIT_WAITING: Final = "asyncjobs.limit.waiting"
LIMIT_LINES: Final = "asyncjobs.limit.waiting_lines"
REPAIRS: Final = "asyncjobs.limit.repairs"
RETRIES: Final = "asyncjobs.retries"
DEATHS: Final = "asyncjobs.deaths"
RECOVERIES: Final = "asyncjobs.recoveries"
