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
        self.text = _text(name, set())
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def _text(path: str, included: set[str]) -> str:
    """Return the text of a file, with what it includes in place; each include stands in a script once."""

    def include(found: re.Match[str]) -> str:
        if found[1] in included:
            return ""
        included.add(found[1])
        return _text(f"include/{found[1]}", included)

    file = resources.files(__package__) / "lua" / f"{path}.lua"
    return _INCLUDE.sub(include, file.read_text(encoding="utf-8").rstrip("\n"))


def load(name: str) -> Script:
    """Return the script ``lua/<name>.lua``."""
    return Script(name)
