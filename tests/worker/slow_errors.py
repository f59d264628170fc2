"""Exceptions in a module that takes long to import; the worker of the tests doesn't."""

from __future__ import annotations

import time

time.sleep(3)


class Late(ValueError, LookupError):
    """Raised only in processes."""
