"""Lines: which jobs of a queue wait together, in whose turn they run, and which gates they need.

Jobs of one priority and one *line key* wait in one line, in the order in which they came. The key names the *group* in
whose turn they run, and the *gates* that must all have room before one of them starts. So all jobs of a line are held
back by the same, and a closed line is one thing to set aside, however long it is.

A *rule* has a name and numbers (``core.limits.QueueLimit``); a gate is a rule, or a rule for one value, as
``customer=42``. The numbers are in the queue, never in a job, so that they hold for what was sent before.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterable

__all__ = [
    "DIGEST_MARK",
    "MAX_GATES",
    "MAX_RULE_BYTES",
    "MAX_VALUE_BYTES",
    "gate_of",
    "gates_in",
    "group_in",
    "is_digest",
    "line_key",
    "rule_in",
    "short_value",
]

#: How many gates a job may need.
MAX_GATES = 4

#: The longest name of a rule, in bytes.
MAX_RULE_BYTES = 24

#: The longest value that stands as it is; with it, a group, four gates and a unique key fit into a record's header.
MAX_VALUE_BYTES = 24

#: What a digest begins with, in place of a value.
DIGEST_MARK = "~"

_BETWEEN = "\x1f"
_DIGEST = re.compile(DIGEST_MARK + "[A-Za-z0-9_-]{22}")


def short_value(text: str) -> str:
    """Return a value, or the name of a group, as it stands in a key: itself if it is short, else a digest of it.

    A digest is ``~`` and 22 letters: 16 bytes of BLAKE2b in base64. One value always has the same.

    Args:
        text: The value. An empty one is a value like any other, and so is none of the digests.
    """
    # No job has a value with surrogates, which UTF-8 doesn't have, but a call may ask for the limit of one.
    encoded = text.encode(errors="surrogatepass")
    is_plain = len(encoded) <= MAX_VALUE_BYTES and text[:1] != DIGEST_MARK and text.isprintable()
    if is_plain and unicodedata.is_normalized("NFC", text) and text:
        return text
    digest = hashlib.blake2b(encoded, digest_size=16).digest()
    return DIGEST_MARK + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def is_digest(text: str) -> bool:
    """Return whether a text has the form of the digests that ``short_value`` gives."""
    return _DIGEST.fullmatch(text) is not None


def gate_of(rule: str, value: str | None = None) -> str:
    """Return the gate of a rule, or of a rule for one value.

    Args:
        rule: The name of the rule, which has no ``=``.
        value: The value, of any length; ``None`` for the rule as a whole.
    """
    return rule if value is None else f"{rule}={short_value(value)}"


def rule_in(gate: str) -> str:
    """Return the name of the rule of ``gate``."""
    return gate.partition("=")[0]


def line_key(group: str, gates: Iterable[str]) -> str:
    """Return the key of the line for jobs of a group that need some gates; empty for jobs without either.

    Args:
        group: The group, as ``short_value`` gives it; empty for none.
        gates: The gates, in any order. They stand in the key in the order of their bytes, in which they are tried.
    """
    ordered = sorted(set(gates), key=str.encode)
    return _BETWEEN.join((group, *ordered)) if group or ordered else ""


def group_in(key: str) -> str:
    """Return the group of a line, empty if it has none."""
    return key.partition(_BETWEEN)[0]


def gates_in(key: str) -> list[str]:
    """Return the gates of a line, in the order in which they are tried."""
    return key.split(_BETWEEN)[1:]
