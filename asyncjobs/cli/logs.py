"""The log of a command that runs for long, on standard error."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import msgspec

from asyncjobs.errors import ConfigurationError
from asyncjobs.jobs.logs import JobFields, JsonLines, TextLines

__all__ = ["add_log_options", "set_up_log"]

_LEVELS = ("debug", "info", "warning", "error")
_FORMATS: dict[str, logging.Formatter] = {
    "text": TextLines("%(asctime)s %(levelname)s %(name)s: %(message)s"),
    "json": JsonLines(),
}


def add_log_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``set_up_log`` reads."""
    parser.add_argument("--log-level", default="info", choices=_LEVELS)
    parser.add_argument(
        "--log-format",
        choices=[*_FORMATS, "none"],
        help="text, json, or none to set up no log; by default text, unless the program has set up a log itself",
    )
    parser.add_argument(
        "--log-config", metavar="FILE", help="a .toml or .json file with what logging.config.dictConfig takes"
    )


def set_up_log(level: str, kind: str | None = None, config: str | None = None) -> None:
    """Set up the log; one that the program has set up itself stays, unless another is asked for.

    Args:
        level: Of ``--log-level``.
        kind: Of ``--log-format``.
        config: Of ``--log-config``.

    Raises:
        ConfigurationError: The file of ``--log-config`` can't be used.
    """
    if config is not None:
        _configure(config)
        return
    if kind == "none" or (kind is None and logging.getLogger().handlers):
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FORMATS[kind or "text"])
    handler.addFilter(JobFields())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _configure(path: str) -> None:
    # The import of these two takes half a megabyte, which most workers need not have.
    import logging.config
    import tomllib

    try:
        text = Path(path).read_bytes()
        config = msgspec.json.decode(text) if path.endswith(".json") else tomllib.loads(text.decode())
        # The loggers of the program are there already, and would be silenced.
        logging.config.dictConfig({"disable_existing_loggers": False, **config})
    except (OSError, ValueError, TypeError, AttributeError, ImportError) as error:
        raise ConfigurationError(
            f"--log-config {path!r} can't be used ({error}): expected a .toml or .json file with what "
            "logging.config.dictConfig takes"
        ) from None
