"""Keys and a secret for the tests."""

from __future__ import annotations

import base64
import hashlib

__all__ = ["CARD", "NEW", "OLD", "OTHER", "key"]

CARD = "4111-1111-1111-1111"
"""What must not be seen."""


def key(number: int) -> str:
    """Return a key, as a user gives it."""
    return base64.b64encode(hashlib.sha256(f"key {number}".encode()).digest()).decode()


OLD, NEW, OTHER = key(1), key(2), key(3)
