"""Times on the command line."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from asyncjobs.errors import ConfigurationError

__all__ = ["add_time_filter", "time_option"]


def add_time_filter(parser: argparse.ArgumentParser, verb: str) -> None:
    """Add ``--since`` and ``--until``, for jobs that ``verb`` then, as in "died"; ``time_option`` reads them."""
    parser.add_argument(
        "--since",
        metavar="TIME",
        help=f"only jobs that {verb} at this time or later; ISO 8601, in UTC if it has no zone",
    )
    parser.add_argument("--until", metavar="TIME", help=f"only jobs that {verb} before this time")


def time_option(options: argparse.Namespace, name: str) -> datetime | None:
    """Return the time that an option gives, ``None`` if it isn't given.

    Raises:
        ConfigurationError: It is no time.
    """
    text = getattr(options, name)
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"--{name} {text!r}: expected ISO 8601, as in 2026-01-31T08:00:00+01:00") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
