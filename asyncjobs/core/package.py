"""What this package is called where it is installed from, and its version: the one place of both."""

from __future__ import annotations

__all__ = ["DISTRIBUTION", "PACKAGE_VERSION", "install_command"]

#: The version, which workers announce; ``pyproject.toml`` reads it from here.
PACKAGE_VERSION = "0.1.0"

#: The name on the package index, as in ``pyproject.toml``. There, ``asyncjobs`` is somebody else's package.
DISTRIBUTION = "asyncjobs-redis"


def install_command(extra: str) -> str:
    """Return the command that installs this package with one of its extras."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"
