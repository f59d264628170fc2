"""Refuses requests that another site has made a browser send.

The rule is that of Go's ``http.CrossOriginProtection`` (https://pkg.go.dev/net/http#CrossOriginProtection): it needs no
token, no cookie and no session.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

__all__ = ["SAFE_METHODS", "cross_site"]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods by which nothing is changed."""


def cross_site(method: str, headers: Mapping[str, str], trusted_origins: Collection[str]) -> str | None:
    """Return why a request must be refused, ``None`` if it may pass.

    Args:
        method: Its method.
        headers: Its headers, by names in lower case.
        trusted_origins: Origins whose pages may send requests here, as in ``https://ops.example.com``.
    """
    if method in SAFE_METHODS:
        return None
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None and origin in trusted_origins:
        return None
    if site is not None:
        if site in ("same-origin", "none"):
            return None
        return (
            f"a page of another site sent this request (Sec-Fetch-Site: {site}); trusted_origins= names those that may"
        )
    if origin is None:
        # No browser: those send one of the two.
        return None
    if urlsplit(origin).netloc == headers.get("host"):
        return None
    return (
        f"a page of {origin} sent this request to {headers.get('host')}; if a proxy in between has changed the Host, "
        f"or if such pages may, give trusted_origins=[{origin!r}]"
    )
