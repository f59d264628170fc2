"""Reads the Lua files: a script with its includes in place, and with no more to make at each call than it needs.

Lua makes all functions of a script anew whenever the script is called: some 0.3 µs each, more the more local variables
they name, and what is made is garbage that the server collects in the midst of a later call.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

__all__ = ["read_script", "with_rare", "with_literals", "without_unused"]

_LUA = Path(__file__).parent / "lua"
# All are read at the import: were one read when it is called first, a program whose package is replaced while it runs
# would mix two versions.
_FILES = {
    path.relative_to(_LUA).with_suffix("").as_posix(): path.read_text(encoding="utf-8") for path in _LUA.rglob("*.lua")
}
_INCLUDE = re.compile(r"^--- @include (\w+)$", re.MULTILINE)
_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)
_WORD = re.compile(r"\w+")
# A text, or a name that is no field of a table.
_NAME = re.compile(r"'[^'\n]*'|(?<![\w.])\w+")
_FUNCTION = re.compile(r"^local function (\w+)\(.*?^end\n+", re.MULTILINE | re.DOTALL)
_VALUE = re.compile(r"\d+|'[^'\n]*'")
_LITERAL = re.compile(
    rf"^local ([A-Z_]+(?:, [A-Z_]+)*) = ((?:{_VALUE.pattern})(?:, (?:{_VALUE.pattern}))*)\n", re.MULTILINE
)


def read_script(name: str) -> str:
    """Return the text of ``lua/<name>.lua`` with its includes, and the includes of these, each once."""
    return _read(name, set())


def _read(path: str, included: set[str]) -> str:
    def include(found: re.Match[str]) -> str:
        if found[1] in included:
            return ""
        included.add(found[1])
        return _read(f"include/{found[1]}", included)

    return _INCLUDE.sub(include, _FILES[path])


def without_unused(text: str) -> str:
    """Return ``text`` without comments, and without the functions that it doesn't call."""
    text = _COMMENT.sub("", text)
    called = _called(text)
    return _FUNCTION.sub(lambda found: found[0] if found[1] in called else "", text)


def with_literals(text: str) -> str:
    """Return ``text`` with the values of its constants in the place of their names."""
    values: dict[str, str] = {}
    for names, literals in _LITERAL.findall(text):
        values.update(zip(names.split(", "), _VALUE.findall(literals), strict=True))
    return _NAME.sub(lambda word: values.get(word[0], word[0]), _LITERAL.sub("", text))


def with_rare(text: str, names: Collection[str]) -> str:
    """Return ``text`` with the functions ``names``, and those that only they call, made where one is called first.

    Raises:
        ValueError: One of them is no function of ``text``.
    """
    if unknown := set(names).difference(_FUNCTION.findall(text)):
        raise ValueError(f"a script calls {sorted(unknown)} rare, which are no functions of it")
    if not names:
        return text
    rare = set(names).union(set(_FUNCTION.findall(text)) - _called(text, names))
    made = [found[0] for found in _FUNCTION.finditer(text) if found[1] in rare]
    last = max(found.end() for found in _FUNCTION.finditer(text) if found[1] in rare)
    before, behind = (
        _FUNCTION.sub(lambda found: "" if found[1] in rare else found[0], part) for part in (text[:last], text[last:])
    )
    called = rare.intersection(_WORD.findall(before + behind))
    before, behind = (
        _NAME.sub(lambda name: f"rare().{name[0]}" if name[0] in called else name[0], part) for part in (before, behind)
    )
    fields = ", ".join(f"{name} = {name}" for name in sorted(called))
    group = [
        "function rare()\n",
        "if not rare_ones then\n",
        *made,
        f"rare_ones = {{{fields}}}\nend\nreturn rare_ones\nend\n",
    ]
    return f"local rare, rare_ones\n{before}{''.join(group)}{behind}"


def _called(text: str, apart: Collection[str] = ()) -> set[str]:
    """Return the functions that ``text`` calls outside of functions, and what those call that aren't ``apart``."""
    functions = {found[1]: found[0] for found in _FUNCTION.finditer(text)}
    called: set[str] = set()
    new = functions.keys() & _WORD.findall(_FUNCTION.sub("", text))
    while new:
        called |= new
        words = {word for name in new.difference(apart) for word in _WORD.findall(functions[name])}
        new = (functions.keys() & words) - called
    return called
