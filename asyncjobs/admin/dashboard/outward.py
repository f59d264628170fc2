"""Links from the page of a job to other programs, by templates that the program gives."""

from __future__ import annotations

import string
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from asyncjobs.core.bounds import shown
from asyncjobs.errors import ConfigurationError

__all__ = ["checked_links", "outward"]

_FIELDS = ("id", "name", "queue", "tenant", "worker", "trace_id")


def checked_links(links: Mapping[str, str] | None) -> dict[str, str]:
    """Return ``links`` of a dashboard.

    Raises:
        ConfigurationError: One is no address of a web page, or has a field that there is not.
    """
    if links is None:
        return {}
    if not isinstance(links, Mapping):
        raise ConfigurationError(f"links={shown(links)}: expected names and addresses, as in {{'trace': 'https://…'}}")
    for name, address in links.items():
        if not isinstance(name, str) or not isinstance(address, str) or not _is_web(address):
            raise ConfigurationError(f"links: {shown(name)}: {shown(address)}: expected an address, as in https://…")
        try:
            fields = {field for _, field, _, _ in string.Formatter().parse(address) if field is not None}
        except ValueError as error:
            raise ConfigurationError(f"links: {shown(name)}: {shown(address)}: {error}") from None
        if unknown := fields - set(_FIELDS):
            known = ", ".join(f"{{{one}}}" for one in _FIELDS)
            raise ConfigurationError(f"links: {shown(name)}: there is no {shown(unknown.pop())}; expected {known}")
    return dict(links)


def _is_web(address: str) -> bool:
    # Where it leads to must not depend on a job.
    split = urlsplit(address)
    return split.scheme in ("http", "https") and bool(split.netloc) and "{" not in split.netloc


def outward(links: Mapping[str, str], facts: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the names and the addresses of links for a job, without those of which a part isn't known.

    Args:
        links: The templates, by name.
        facts: What is known of the job.
    """
    safe = {name: quote(value, safe="") for name, value in facts.items()}
    found = []
    for name, template in links.items():
        fields = {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}
        if fields <= safe.keys():
            found.append((name, template.format(**safe)))
    return found
