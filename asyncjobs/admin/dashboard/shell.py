"""What stands around each page: addresses, navigation, and what a viewer has chosen."""

from __future__ import annotations

import functools
import zoneinfo
from collections.abc import Collection, Mapping
from datetime import UTC, tzinfo
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from asyncjobs.admin.problem import Problem

__all__ = ["KEYS", "THEMES", "Choices", "Tab", "choices_of", "checked_choice", "place_of", "tabs_of", "url_of", "zones"]

THEMES = ("auto", "light", "dark")
"""The themes; ``auto`` is as the browser says."""

KEYS = ("on", "off")
"""Whether single keys do something."""

_COOKIE = "asyncjobs_{}"


class Tab(NamedTuple):
    """One page of the navigation."""

    place: str
    """The first part of its path."""
    text: str
    """What it is called."""
    key: str
    """The key that goes there after ``g``, empty if there is none."""
    is_whole: bool = False
    """Whether it is about whole queues, and so not for those who may see the jobs of some tenants alone."""


_TABS = [
    Tab("", "Now", "o"),
    Tab("queues", "Queues", "q", is_whole=True),
    Tab("jobs", "Jobs", "j"),
    Tab("dead", "Dead", "d"),
    Tab("limits", "Limits", "l", is_whole=True),
    Tab("names", "Names", "n", is_whole=True),
    Tab("schedules", "Schedules", "s"),
    Tab("workers", "Workers", "w", is_whole=True),
    Tab("tenants", "Tenants", "t"),
    Tab("audit", "Audit", "a", is_whole=True),
]


class Choices(NamedTuple):
    """What a viewer has chosen, kept in cookies of the dashboard alone."""

    theme: str = "auto"
    """One of ``THEMES``."""
    zone: str = "UTC"
    """The time zone of the times in pages."""
    keys: str = "on"
    """One of ``KEYS``."""

    @property
    def tz(self) -> tzinfo:
        """The time zone."""
        return UTC if self.zone == "UTC" else zoneinfo.ZoneInfo(self.zone)


def tabs_of(paths: Collection[str]) -> list[Tab]:
    """Return the navigation of a dashboard that has pages at ``paths``."""
    return [tab for tab in _TABS if f"/{tab.place}" in paths]


def choices_of(cookies: Mapping[str, str]) -> Choices:
    """Return what a viewer has chosen; what isn't known is as if it hadn't been."""
    given = {name: unquote(cookies.get(_COOKIE.format(name), "")) for name in Choices._fields}
    return Choices(**{name: value for name, value in given.items() if _is_choice(name, value)})


def checked_choice(name: str, value: str) -> tuple[str, str]:
    """Return the name and the value of the cookie for a choice.

    Args:
        name: A field of ``Choices``.
        value: What was chosen.

    Raises:
        Problem: There is nothing of this name to choose, or no such value.
    """
    if not _is_choice(name, value):
        raise Problem(400, f"{name}={value!r}: expected one of the choices of the page /settings")
    return _COOKIE.format(name), quote(value, safe="")


@functools.cache
def zones() -> tuple[str, ...]:
    """Return the names of the time zones that this machine knows, UTC first."""
    known = zoneinfo.available_timezones()
    places = {name for name in known if "/" in name and not name.startswith(("Etc/", "SystemV/", "posix/", "right/"))}
    return ("UTC", *sorted(places))


def _is_choice(name: str, value: str) -> bool:
    known: Mapping[str, Collection[str]] = {"theme": THEMES, "keys": KEYS}
    return value in known[name] if name in known else name == "zone" and value in zones()


def url_of(root: str, /, *parts: str, **query: object) -> str:
    """Return the address of a page: the one function that makes links.

    Args:
        root: The path under which the dashboard is mounted, percent-encoded, without a slash at its end.
        parts: The parts of the path below it.
        query: What stands behind the question mark; what is empty is left out, and a list stands as its values.
    """
    path = "/".join(quote(part, safe="") for part in parts)
    asked = urlencode({name: value for name, value in query.items() if value not in (None, "")}, doseq=True)
    return f"{root}/{path}" + (f"?{asked}" if asked else "")


def place_of(at: str) -> tuple[list[str], dict[str, str]]:
    """Return the parts of the path, and the query, of a page to go back to, as ``url_of`` takes them.

    Whatever it says, ``url_of`` makes an address of this dashboard of it.
    """
    try:
        split = urlsplit(at)
    except ValueError:
        return [], {}
    parts = [part for part in unquote(split.path).split("/") if part not in ("", ".", "..")]
    return parts, dict(parse_qsl(split.query))
