"""Finds all pages of a dashboard by their links, so that a new page is in each test that looks at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from html.parser import HTMLParser
from urllib.parse import unquote, urlencode, urlsplit

from starlette.routing import compile_path

from asyncjobs.admin.dashboard.pages import PAGES

__all__ = ["Document", "crawl", "pattern_of"]

_PATTERNS = [(page.path, compile_path(page.path)[0]) for page in PAGES]


class Document(HTMLParser):
    """A page as a browser reads it: tags, links, forms, text."""

    def __init__(self, body: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.forms: dict[str, dict[str, str]] = {}
        self.text = ""
        self.titles = 0
        self._action: str | None = None
        self._is_post = False
        self._fields: dict[str, str] = {}
        self.feed(body)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.attributes.update(given)
        self.titles += tag == "h1"
        if tag == "script" and "src" not in given:
            self.tags.add("script-inline")
        if tag in ("a", "link") and "href" in given:
            self.links.append(given["href"])
        elif tag == "form":
            self._action, self._is_post, self._fields = given["action"], given.get("method") == "post", {}
        elif tag in ("input", "button") and self._action is not None and given.get("name"):
            self._fields.setdefault(given["name"], given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag != "form" or self._action is None:
            return
        if self._is_post:
            self.forms[self._action] = self._fields
        else:
            # As if its first button were pressed, with its first row selected.
            asked = urlencode({name: value for name, value in self._fields.items() if value})
            self.links.append(f"{self._action}?{asked}" if asked else self._action)
        self._action = None

    def handle_data(self, data: str) -> None:
        self.text += data


def pattern_of(target: str, mount: str = "") -> str | None:
    """Return the path of the page that answers ``target``, as ``PAGES`` has it."""
    path = unquote(urlsplit(target).path.removeprefix(mount))
    return next((path_of for path_of, pattern in _PATTERNS if pattern.match(path)), None)


async def crawl(read: Callable[[str], Awaitable[str | None]], mount: str = "", each: int = 3) -> dict[str, list[str]]:
    """Follow all links from the first page, and return the addresses that were read, by the path of their page.

    Args:
        read: Returns the HTML of an address, ``None`` if it is none.
        mount: Where the dashboard is.
        each: How many links are followed from one page to another, as in from the list of dead jobs to a job.
    """
    found: dict[str, list[str]] = {page.path: [] for page in PAGES}
    followed: Counter[tuple[str | None, str | None]] = Counter()
    waiting: list[tuple[str, str | None]] = [(f"{mount}/", None)]
    seen = set()
    while waiting:
        link, source = waiting.pop(0)
        target = link.partition("#")[0]
        pattern = pattern_of(target, mount)
        if target in seen or not target.startswith(f"{mount}/") or "/static/" in target:
            continue
        if followed[source, pattern] >= each:
            continue
        followed[source, pattern] += 1
        seen.add(target)
        body = await read(target)
        if pattern is not None:
            found[pattern].append(target)
        if body is not None:
            waiting += [(one, pattern) for one in Document(body).links]
    return found
