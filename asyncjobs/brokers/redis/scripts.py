"""Loads the Lua scripts: includes resolved, hashes known before the first call."""

from __future__ import annotations

import hashlib
import re
from importlib import resources

__all__ = ["Script", "load"]

_INCLUDE = re.compile(r"^--- @include (\w+)$", re.MULTILINE)


class Script:
    """One script: its text and the SHA-1 under which a server that has seen it knows it."""

    __slots__ = ("name", "sha", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = _INCLUDE.sub(lambda found: _read(found[1]), _read(name))
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def _read(name: str) -> str:
    return (resources.files(__package__) / "lua" / f"{name}.lua").read_text(encoding="utf-8").rstrip("\n")


def load(name: str) -> Script:
    """Return the script ``lua/<name>.lua``."""
    return Script(name)
