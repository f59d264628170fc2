"""The form of log records, and the job that runs in each of them."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import msgspec

from asyncjobs.core.text import escaped, storable
from asyncjobs.jobs.context import log_fields, running

__all__ = ["JobFields", "JsonLines", "TextLines", "escape_last_resort"]

# What every record has.
_OF_ALL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_encode = msgspec.json.Encoder(enc_hook=repr).encode


class JobFields(logging.Filter):
    """Gives records that are logged while a job runs the attributes of the job, also those of the program itself.

    The attributes are ``job_id``, ``job_name``, ``queue``, ``attempt``, ``tenant``, and ``trace_id`` in hex inside a
    trace, else ``None``. A record outside a job has none of them. Records that have them already keep them.

    Example:
        ```python
        handler = logging.StreamHandler()
        handler.addFilter(JobFields())
        ```
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Give ``record`` the attributes, and let it pass.

        Args:
            record: The record.

        Returns:
            ``True``.
        """
        job = running.get()
        if job is not None and not hasattr(record, "job_id"):
            vars(record).update(log_fields(job))
        return True


class TextLines(logging.Formatter):
    """One line a record for people, with the job behind the message.

    Control characters are escaped, and all lines of a record but the first are indented, so that none looks like
    another record.
    """

    def format(self, record: logging.LogRecord) -> str:
        return "\n    ".join(map(escaped, super().format(record).split("\n")))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of logging
        text = super().formatMessage(record)
        fields = vars(record)
        job_id = fields.get("job_id")
        # asyncjobs names the job in its own messages.
        if job_id is None or job_id in text:
            return text
        tenant = f" tenant={fields['tenant']}" if fields.get("tenant") else ""
        return f"{text} [job={job_id} name={fields['job_name']} attempt={fields['attempt']}{tenant}]"


class JsonLines(logging.Formatter):
    """One JSON object a record: ``time``, ``level``, ``logger``, ``message``, and what ``extra`` and ``JobFields`` add.

    The time is ISO 8601 in UTC. An exception is in ``exception``, a stack in ``stack``. Values that JSON has no form
    for are there as text.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line.

        Args:
            record: The record.
        """
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _OF_ALL and value is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        try:
            return _encode(line).decode()
        except Exception:
            # One value that JSON can't write would cost the whole record.
            return _encode({name: _readable(value) for name, value in line.items()}).decode()


def escape_last_resort() -> None:
    """Use ``TextLines`` for warnings of a program that has set up no log, which Python writes to standard error."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(TextLines())


def _readable(value: object) -> object:
    if isinstance(value, str):
        return storable(value)
    try:
        _encode(value)
    except Exception:
        return storable(repr(value))
    return value
