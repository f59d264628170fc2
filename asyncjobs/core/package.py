"""The version of this package, which workers announce."""

from __future__ import annotations

__all__ = ["PACKAGE_VERSION"]

#: As in ``pyproject.toml``.
PACKAGE_VERSION = "0.1.0"
