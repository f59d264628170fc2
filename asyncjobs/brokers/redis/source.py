"""Reads the Lua files: a script with its includes in place, and with no more to make at each call than it needs.

Lua makes all functions of a script anew whenever the script is called: some 0.3 µs each, more the more local variables
they name, and what is made is garbage that the server collects in the midst of a later call.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Part", "parts_of", "read_script", "with_literals", "with_rare", "without_unused"]

_LUA = Path(__file__).parent / "lua"
_REMARK = re.compile(r"^ *--(?!- @).*\n", re.MULTILINE)
# All are read at the import: were one read when it is called first, a program whose package is replaced while it runs
# would mix two versions. They are kept without remarks, which are a third of them.
_FILES = {
    path.relative_to(_LUA).with_suffix("").as_posix(): _REMARK.sub("", path.read_text(encoding="utf-8"))
    for path in _LUA.rglob("*.lua")
}
_INCLUDE = re.compile(r"^--- @include (\w+)$", re.MULTILINE)
_DECLARATION = re.compile(r"^--- @.*\n", re.MULTILINE)
# What is no part of a word, as a space: to split a text so is three times as fast as to search it for words.
_SPACED = {code: " " for code in range(128) if not (chr(code).isalnum() or chr(code) == "_")}
# A text, or a name that is no field of a table.
_NAME = re.compile(r"'[^'\n]*'|(?<![\w.])\w+")
# A constant, but no field of that name, and no text that begins with it. The letter stands before what is looked for in
# front of it: so the search skips what is no capital letter, and is four times as fast.
_CONSTANT = re.compile(r"[A-Z](?<![\w.'].)[A-Z_]*\b")
_FUNCTION = re.compile(r"^local function (\w+)\(.*?^end\n+", re.MULTILINE | re.DOTALL)
_VALUE = re.compile(r"\d+|'[^'\n]*'")
_LITERAL = re.compile(
    rf"^local ([A-Z_]+(?:, [A-Z_]+)*) = ((?:{_VALUE.pattern})(?:, (?:{_VALUE.pattern}))*)\n", re.MULTILINE
)


class Part(NamedTuple):
    """A function of a script, or what stands between two."""

    function: str
    """The function's name; empty for what stands between."""
    text: str
    """The Lua."""
    words: frozenset[str]
    """The words in it."""


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


def parts_of(text: str) -> list[Part]:
    """Return ``text`` without declarations, as its functions and what stands between them."""
    text = _DECLARATION.sub("", text)
    parts, at = [], 0
    for found in _FUNCTION.finditer(text):
        parts += [_part("", text[at : found.start()]), _part(found[1], found[0])]
        at = found.end()
    return [*parts, _part("", text[at:])]


def _part(function: str, text: str) -> Part:
    return Part(function, text, frozenset(text.translate(_SPACED).split()))


def without_unused(parts: Sequence[Part]) -> list[Part]:
    """Return ``parts`` without the functions that nothing calls."""
    called = _called(parts)
    return [part for part in parts if not part.function or part.function in called]


def with_rare(parts: Sequence[Part], names: Collection[str], rarer: Collection[str] = ()) -> str:
    """Return the text of ``parts`` with the functions ``names``, and those that only they call, made at the first call.

    Args:
        parts: A script.
        names: Functions that few calls need.
        rarer: Functions that few of these calls need: they, and what only they call, are made apart from the others.

    Raises:
        ValueError: One of them is no function of the script.
    """
    made = []
    for way, own in (("rarer", set(rarer)), ("rare", {*names, "rarer"} if rarer else set(names))):
        if own:
            parts = _made_by(way, parts, own)
            made += [way, f"{way}_ones"]
    text = "".join(part.text for part in parts)
    return f"local {', '.join(made)}\n{text}" if made else text


def _made_by(way: str, parts: Sequence[Part], names: Collection[str]) -> list[Part]:
    """Return ``parts`` with one function ``way`` in the place of ``names`` and those that only they call.

    It makes them at its first call, and returns those by name that others call. The script is still to declare
    ``way`` and ``<way>_ones``.
    """
    functions = {part.function for part in parts if part.function}
    if unknown := set(names).difference(functions):
        raise ValueError(f"a script calls {sorted(unknown)} {way}, which are no functions of it")
    rare = functions.difference(_called(parts, names)).union(names)
    group = [part for part in parts if part.function in rare]
    called = rare & frozenset().union(*(part.words for part in parts if part.function not in rare))
    fields = ", ".join(f"{name} = {name}" for name in sorted(called))
    text = [
        f"function {way}()\nif not {way}_ones then\n",
        *(part.text for part in group),
        f"{way}_ones = {{{fields}}}\nend\nreturn {way}_ones\nend\n",
    ]
    made = []
    for part in parts:
        if part.function not in rare:
            made.append(_by_field(way, part, called))
        elif part is group[-1]:
            made.append(Part(way, "".join(text), frozenset().union(*(one.words for one in group))))
    return made


def _by_field(way: str, part: Part, called: Collection[str]) -> Part:
    """Return ``part`` with calls of ``<way>().name`` in the place of those of a ``called`` name."""
    if part.words.isdisjoint(called):
        return part
    text = _NAME.sub(lambda name: f"{way}().{name[0]}" if name[0] in called else name[0], part.text)
    return Part(part.function, text, part.words | {way})


def _called(parts: Sequence[Part], apart: Collection[str] = ()) -> set[str]:
    """Return the functions that ``parts`` call outside of functions, and what those call that aren't ``apart``."""
    words = {part.function: part.words for part in parts if part.function}
    called: set[str] = set()
    new = words.keys() & frozenset().union(*(part.words for part in parts if not part.function))
    while new:
        called |= new
        new = (words.keys() & frozenset().union(*(words[name] for name in new.difference(apart)))) - called
    return called


def with_literals(text: str) -> str:
    """Return ``text`` with the values of its constants in the place of their names."""
    values: dict[str, str] = {}
    for names, literals in _LITERAL.findall(text):
        values.update(zip(names.split(", "), _VALUE.findall(literals), strict=True))
    return _CONSTANT.sub(lambda word: values.get(word[0], word[0]), _LITERAL.sub("", text))
